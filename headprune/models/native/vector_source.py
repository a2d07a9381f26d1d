"""C for numbers REAL, integers INTEGER as large, vectors of BYTES: small products, exponentials, dropout."""

VECTOR_SOURCE = """
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LANES (ptrdiff_t)(BYTES / sizeof(REAL))
#define INLINE static inline __attribute__((always_inline))
typedef REAL vec __attribute__((vector_size(BYTES), aligned(sizeof(REAL)), may_alias));
typedef INTEGER bits __attribute__((vector_size(BYTES), aligned(sizeof(REAL)), may_alias));

INLINE vec at(const REAL *from) { return *(const vec *)from; }

INLINE vec either(bits first, vec one, vec two) { return (vec)(((bits)one & first) | ((bits)two & ~first)); }

/* c = a b, or c + a b, for `rows` rows and `vectors` vectors of columns; element (i, l) of a lies at
   a[i * down + l * along] */
INLINE void tile(const int rows, const int vectors, const int more, const REAL *a, ptrdiff_t down, ptrdiff_t along,
                 const REAL *b, ptrdiff_t next, REAL *c, ptrdiff_t below, ptrdiff_t inner) {
    vec sum[8][2] = {0};
    for (ptrdiff_t l = 0; l < inner; l++)
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < vectors; j++) sum[i][j] += a[i * down + l * along] * at(b + l * next + j * LANES);
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < vectors; j++) {
            vec *to = (vec *)(c + i * below + j * LANES);
            if (more) sum[i][j] += *to;
            *to = sum[i][j];
        }
}

/* rows of c (m, one or two vectors), `rows` at a time, the rest one by one */
INLINE void columns(const int rows, const int vectors, const int more, const REAL *a, ptrdiff_t down, ptrdiff_t along,
                    const REAL *b, ptrdiff_t next, REAL *c, ptrdiff_t below, ptrdiff_t m, ptrdiff_t inner) {
    ptrdiff_t i = 0;
    for (; i + rows <= m; i += rows)
        tile(rows, vectors, more, a + i * down, down, along, b, next, c + i * below, below, inner);
    if (i < m && i > 0 && !more) { /* some rows twice */
        i = m - rows;
        tile(rows, vectors, more, a + i * down, down, along, b, next, c + i * below, below, inner);
        return;
    }
    for (; i < m; i++) tile(1, vectors, more, a + i * down, down, along, b, next, c + i * below, below, inner);
}

/* c (m, n) = a (m, inner) b (inner, n), or c + a b; LANES divides n */
INLINE void products(const int more, const REAL *a, ptrdiff_t down, ptrdiff_t along, const REAL *b, ptrdiff_t next,
                     REAL *c, ptrdiff_t below, ptrdiff_t m, ptrdiff_t inner, ptrdiff_t n) {
    ptrdiff_t j = 0;
    for (; j + 2 * LANES <= n; j += 2 * LANES)
        columns(4, 2, more, a, down, along, b + j, next, c + j, below, m, inner);
    if (j < n) columns(8, 1, more, a, down, along, b + j, next, c + j, below, m, inner);
}

INLINE void product(const REAL *a, ptrdiff_t down, ptrdiff_t along, const REAL *b, ptrdiff_t next, REAL *c,
                    ptrdiff_t below, ptrdiff_t m, ptrdiff_t inner, ptrdiff_t n) {
    products(0, a, down, along, b, next, c, below, m, inner, n);
}

/* rows of WIDTH numbers, `next` apart, become columns of `to` (WIDTH, padded) */
INLINE void transpose(const REAL *from, ptrdiff_t next, ptrdiff_t rows, REAL *to, ptrdiff_t padded) {
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t i = 0; i < WIDTH; i++) to[i * padded + r] = from[r * next + i];
    for (ptrdiff_t i = 0; i < WIDTH; i++)
        for (ptrdiff_t r = rows; r < padded; r++) to[i * padded + r] = 0;
}

INLINE vec around(vec x, const int by) {
    bits lane;
    for (ptrdiff_t i = 0; i < LANES; i++) lane[i] = (i + by) % LANES;
    return __builtin_shuffle(x, lane);
}

INLINE vec larger(vec x, vec y) { return either(x > y, x, y); }

/* sum and maximum of all numbers of a vector, in each of them; at most 16 */
INLINE vec total(vec x) {
    if (LANES > 8) x += around(x, 8);
    if (LANES > 4) x += around(x, 4);
    if (LANES > 2) x += around(x, 2);
    return x + around(x, 1);
}

INLINE vec largest(vec x) {
    if (LANES > 8) x = larger(x, around(x, 8));
    if (LANES > 4) x = larger(x, around(x, 4));
    if (LANES > 2) x = larger(x, around(x, 2));
    return larger(x, around(x, 1));
}

INLINE vec exponential(vec x) {
    if (sizeof(REAL) == 8) {
        for (ptrdiff_t i = 0; i < LANES; i++) x[i] = exp(x[i]);
        return x;
    }
    /* of x <= 0, within 1e-7 of it: 2^n e^r, |r| <= ln 2 / 2; below 1e-30 it is 0; of NaN it is NaN */
    const REAL rounding = 12582912; /* 1.5 * 2^23: what is added to it is rounded to an integer, in its lowest bits */
    const vec shifted = x * (REAL)1.44269504089 + rounding, n = shifted - rounding;
    const vec r = x - n * (REAL)0.693359375 + n * (REAL)2.12194440055e-4;
    vec y = r * (REAL)1.9875691500e-4 + (REAL)1.3981999507e-3;
    y = y * r + (REAL)8.3334519073e-3;
    y = y * r + (REAL)4.1665795894e-2;
    y = y * r + (REAL)1.6666665459e-1;
    y = y * r + (REAL)5.0000001201e-1;
    y = y * r * r + r + 1;
    return (vec)(((bits)y + ((bits)shifted << 23)) & ~(x <= (REAL)-69));
}

INLINE ptrdiff_t whole(ptrdiff_t rows) { return (rows + LANES - 1) / LANES * LANES; }

INLINE vec size(vec x) {
    const vec minus = -(vec){0};
    return (vec)((bits)x & ~(bits)minus);
}

/* what is not is 0, NaN is NaN */
INLINE vec positive(vec x) { return (vec)((bits)x & ~(x <= 0)); }

/* Dropout: 16 random bits decide, a number is dropped with probability drops / 65536; the others are scaled. Bits are
   those of splitmix64 (Steele, Lea and Flood 2014), 512 at a time, from number `from` of these on. */
typedef uint64_t words __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint16_t shorts __attribute__((vector_size(BYTES / sizeof(REAL) * 2), aligned(2), may_alias));

INLINE words state(uint64_t seed, ptrdiff_t from) {
    words x;
    for (ptrdiff_t i = 0; i < 8; i++) x[i] = seed + (uint64_t)(8 * from + i + 1) * 0x9e3779b97f4a7c15;
    return x;
}

INLINE words draw(words *state) {
    words x = (*state ^ *state >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    *state += 8 * (uint64_t)0x9e3779b97f4a7c15;
    return x ^ x >> 31;
}

INLINE bits is_dropped(const uint16_t *noise, ptrdiff_t drops) {
    return (bits)(__builtin_convertvector(*(const shorts *)noise, vec) < (REAL)drops);
}

INLINE REAL kept(ptrdiff_t drops) { return 65536.0 / (65536 - drops); }

/* `count` weights, whole vectors of them: a dropped one becomes its negative; `left` is what is left of all, scaled */
INLINE void drop(REAL *weights, REAL *left, ptrdiff_t count, uint64_t seed, ptrdiff_t from, ptrdiff_t drops) {
    words now = state(seed, from), noise = {0};
    for (ptrdiff_t i = 0; i < count; i += LANES) {
        if (i % 32 == 0) noise = draw(&now);
        const vec x = at(weights + i), y = either(is_dropped((const uint16_t *)&noise + i % 32, drops), -x, x);
        *(vec *)(weights + i) = y;
        *(vec *)(left + i) = positive(y) * kept(drops);
    }
}
"""
