"""The C of `fused`, which follows `VECTOR_SOURCE`, for heads of a WIDTH."""

ALL_ATTENTION_SOURCE = """
/* A query at position t sees the keys t to t + band - 1 and all persistent vectors. Queries and contexts are (tgt,
   batch, heads, WIDTH), keys and values (src, batch, heads, WIDTH), positions (band, heads, WIDTH) from the largest
   distance, biases (heads, WIDTH), persistent vectors (heads, persistent, WIDTH). A row of weights has those of the
   band, up to whole vectors, and those of persistent vectors likewise; weights are (heads, batch, tgt, row), a dropped
   one its negative. */
typedef struct {
    ptrdiff_t first, last; /* what to compute, without `last`: h * batch + b for batch row b of head h */
    ptrdiff_t heads, batch, tgt, src, persistent, drops; /* of 65536 weights */
    uint64_t seed;
    double scale; /* of the softmax */
} shape;

/* what follows from it */
typedef struct {
    ptrdiff_t band, wide, row, padded, next; /* `next` numbers from one position to the following */
    REAL root, keep; /* of the number of persistent vectors; 1 / (1 - dropout) */
} sizes;

INLINE sizes measured(const shape *is) {
    sizes z;
    z.band = is->src - is->tgt + 1;
    z.wide = whole(z.band);
    z.row = z.wide + whole(is->persistent);
    z.padded = whole(is->src) + LANES + 8; /* the last rows of a band may be read beyond its end */
    z.next = is->batch * is->heads * WIDTH;
    z.root = sqrt((double)is->persistent);
    z.keep = kept(is->drops);
    return z;
}

/* rows of WIDTH numbers, `next` apart, beside each other */
INLINE void gather(const REAL *from, ptrdiff_t next, ptrdiff_t rows, REAL *to) {
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t i = 0; i < WIDTH; i += LANES) *(vec *)(to + r * WIDTH + i) = at(from + r * next + i);
}

/* to = scale (from + bias), rows of WIDTH numbers */
INLINE void shifted(const REAL *from, const REAL *bias, REAL scale, ptrdiff_t rows, REAL *to) {
    for (ptrdiff_t t = 0; t < rows * WIDTH; t += WIDTH)
        for (ptrdiff_t i = 0; i < WIDTH; i += LANES) *(vec *)(to + t + i) = (at(from + t + i) + at(bias + i)) * scale;
}

/* out (tgt, padded): at row t, columns t to t + band - 1, left (tgt, WIDTH) times turned (WIDTH, padded) */
INLINE void banded(const REAL *left, const REAL *turned, REAL *out, ptrdiff_t tgt, const sizes z) {
    for (ptrdiff_t t = 0; t < tgt; t += 4) {
        const ptrdiff_t m = tgt - t < 4 ? tgt - t : 4;
        product(left + t * WIDTH, WIDTH, 1, turned + t, z.padded, out + t * z.padded + t, z.padded, m, WIDTH,
                whole(z.band + m - 1));
    }
}

/* to (tgt, WIDTH) = by_key (tgt, padded), 0 outside of the band, times right (src, WIDTH) */
INLINE void gathered(const REAL *by_key, const REAL *right, REAL *to, ptrdiff_t below, ptrdiff_t tgt, const sizes z) {
    for (ptrdiff_t t = 0; t < tgt; t += 8) {
        const ptrdiff_t m = tgt - t < 8 ? tgt - t : 8;
        product(by_key + t * z.padded + t, z.padded, 1, right + t * WIDTH, WIDTH, to + t * below, below, m,
                z.band + m - 1, WIDTH);
    }
}

/* to (src, WIDTH) = the transposed of by_key times right (tgt, WIDTH) */
INLINE void scattered(const REAL *by_key, const REAL *right, REAL *to, ptrdiff_t below, ptrdiff_t tgt, ptrdiff_t src,
                      const sizes z) {
    for (ptrdiff_t j = 0; j < src; j += 8) {
        const ptrdiff_t m = src - j < 8 ? src - j : 8;
        const ptrdiff_t first = j < z.band ? 0 : j - z.band + 1, last = j + m < tgt ? j + m : tgt;
        product(by_key + first * z.padded + j, 1, z.padded, right + first * WIDTH, WIDTH, to + j * below, below, m,
                last - first, WIDTH);
    }
}

/* From scores of positions and persistent vectors, in `row`, and those of contents to weights, a dropped one as its
   negative, and to the shares of values, once in the order of `row` and once by key. */
INLINE void softmax(REAL *row, const REAL *content, const uint16_t *noise, ptrdiff_t persistent, ptrdiff_t drops,
                    REAL *share, REAL *by_key, const sizes z) {
    const ptrdiff_t last = z.wide + persistent;
    vec lane, lowest, most, sum = {0};
    for (ptrdiff_t i = 0; i < LANES; i++) lane[i] = i, lowest[i] = -INFINITY;
    most = lowest;
    for (ptrdiff_t i = 0; i < z.wide; i += LANES) {
        vec x = at(row + i) + at(content + i);
        if (i + LANES > z.band) x = either(lane < (REAL)(z.band - i), x, lowest);
        most = larger(*(vec *)(row + i) = x, most);
    }
    for (ptrdiff_t i = z.wide; i < z.row; i += LANES) {
        vec x = at(row + i);
        if (i + LANES > last) *(vec *)(row + i) = x = either(lane < (REAL)(last - i), x, lowest);
        most = larger(x, most);
    }
    most = largest(most);
    for (ptrdiff_t i = 0; i < z.row; i += LANES) sum += *(vec *)(row + i) = exponential(at(row + i) - most);
    sum = 1 / total(sum);
    for (ptrdiff_t i = 0; i < z.row; i += LANES) {
        vec x = at(row + i) * sum, y = x;
        if (drops) {
            x = either(is_dropped(noise + i, drops), -x, x);
            y = positive(x) * z.keep;
            *(vec *)(share + i) = y;
        }
        *(vec *)(row + i) = x;
        if (i < z.wide) *(vec *)(by_key + i) = y;
    }
}

/* From weights, and the slopes in the shares, which are in `band` and `slopes`, to the shares and the slopes in the
   scores, in the order of a row and by key. */
INLINE void softmax_slopes(const REAL *weights, const REAL *band, REAL *slopes, REAL *shares, REAL *by_key,
                           REAL *slopes_by_key, const sizes z) {
    vec mean = {0};
    for (ptrdiff_t i = 0; i < z.row; i += LANES) {
        const vec share = positive(at(weights + i)) * z.keep;
        const vec x = share * (i < z.wide ? at(band + i) : at(slopes + i));
        mean += *(vec *)(slopes + i) = x;
        *(vec *)(shares + i) = share;
        if (i < z.wide) *(vec *)(by_key + i) = share;
    }
    mean = total(mean);
    for (ptrdiff_t i = 0; i < z.row; i += LANES) {
        const vec w = at(weights + i), x = at(slopes + i) - either(w > 0, w, -w) * mean;
        *(vec *)(slopes + i) = x;
        if (i < z.wide) *(vec *)(slopes_by_key + i) = x;
    }
}

/* space as `_space` counts it; weights are null where nobody asks for derivatives */
void all_attention_forward(const REAL *q, const REAL *k, const REAL *v, const REAL *positions,
                           const REAL *persistent_keys, const REAL *persistent_values, const REAL *content_bias,
                           const REAL *position_bias, REAL *weights, REAL *context, REAL *space, const shape *is) {
    const sizes z = measured(is);
    const ptrdiff_t tgt = is->tgt, many = is->persistent, wide = whole(many), draws = (tgt * z.row + 31) / 32;
    REAL *r_turned = space, *p_turned = r_turned + WIDTH * z.wide, *values = p_turned + WIDTH * wide;
    REAL *turned = values + WIDTH * wide, *query = turned + WIDTH * z.padded, *key = query + WIDTH * tgt;
    REAL *asking = key + WIDTH * is->src, *rows = asking + WIDTH * tgt, *shares = rows + tgt * z.row;
    REAL *band = shares + tgt * z.row, *by_key = band + tgt * z.padded, *noise = by_key + tgt * z.padded;
    memset(by_key, 0, tgt * z.padded * sizeof(REAL));
    for (ptrdiff_t h = is->first / is->batch; h * is->batch < is->last; h++) {
        const ptrdiff_t start = is->first - h * is->batch, end = is->last - h * is->batch;
        const ptrdiff_t own = h * many * WIDTH;
        transpose(positions + h * WIDTH, is->heads * WIDTH, z.band, r_turned, z.wide);
        transpose(persistent_keys + own, WIDTH, many, p_turned, wide);
        for (ptrdiff_t i = 0; i < many * WIDTH; i++) values[i] = z.root * persistent_values[own + i];
        for (ptrdiff_t b = start > 0 ? start : 0; b < is->batch && b < end; b++) {
            const ptrdiff_t place = (b * is->heads + h) * WIDTH, number = (h * is->batch + b) * tgt * z.row;
            REAL *w = weights ? weights + number : rows;
            gather(q + place, z.next, tgt, query);
            gather(k + place, z.next, is->src, key);
            transpose(key, WIDTH, is->src, turned, z.padded);
            shifted(query, content_bias + h * WIDTH, is->scale, tgt, asking);
            banded(asking, turned, band, tgt, z);
            shifted(query, position_bias + h * WIDTH, is->scale, tgt, asking);
            product(asking, WIDTH, 1, r_turned, z.wide, w, z.row, tgt, WIDTH, z.wide);
            product(query, WIDTH, 1, p_turned, wide, w + z.wide, z.row, tgt, WIDTH, wide);
            words now = state(is->seed, (h * is->batch + b) * draws);
            for (ptrdiff_t i = 0; is->drops && i < draws; i++) ((words *)noise)[i] = draw(&now);
            for (ptrdiff_t t = 0; t < tgt; t++)
                softmax(w + t * z.row, band + t * z.padded + t, (uint16_t *)noise + t * z.row, many, is->drops,
                        shares + t * z.row, by_key + t * z.padded + t, z);
            gather(v + place, z.next, is->src, key);
            gathered(by_key, key, context + place, z.next, tgt, z);
            products(1, (is->drops ? shares : w) + z.wide, z.row, 1, values, WIDTH, context + place, z.next, tgt, many,
                     WIDTH);
        }
    }
}

/* pull is the derivative in the contexts; those of parameters are added to what is there, unless they are null */
void all_attention_backward(const REAL *q, const REAL *k, const REAL *v, const REAL *positions,
                            const REAL *persistent_keys, const REAL *persistent_values, const REAL *content_bias,
                            const REAL *position_bias, const REAL *weights, const REAL *pull, REAL *dq, REAL *dk,
                            REAL *dv, REAL *d_positions, REAL *d_persistent_keys, REAL *d_persistent_values,
                            REAL *d_content_bias, REAL *d_position_bias, REAL *space, const shape *is) {
    const sizes z = measured(is);
    const ptrdiff_t tgt = is->tgt, many = is->persistent, wide = whole(many), ours = d_positions != 0;
    REAL *p_turned = space, *turned = p_turned + WIDTH * wide, *query = turned + WIDTH * z.padded;
    REAL *key = query + WIDTH * tgt, *out = key + WIDTH * is->src, *content = out + WIDTH * tgt;
    REAL *position = content + WIDTH * tgt, *slopes = position + WIDTH * tgt, *shares = slopes + tgt * z.row;
    REAL *band = shares + tgt * z.row, *by_key = band + tgt * z.padded, *other = by_key + tgt * z.padded;
    memset(band, 0, 3 * tgt * z.padded * sizeof(REAL));
    for (ptrdiff_t h = is->first / is->batch; h * is->batch < is->last; h++) {
        const ptrdiff_t start = is->first - h * is->batch, end = is->last - h * is->batch;
        const ptrdiff_t own = h * many * WIDTH, bias = h * WIDTH;
        transpose(persistent_values + own, WIDTH, many, p_turned, wide);
        for (ptrdiff_t i = 0; i < WIDTH * wide; i++) p_turned[i] *= z.root;
        for (ptrdiff_t b = start > 0 ? start : 0; b < is->batch && b < end; b++) {
            const ptrdiff_t place = (b * is->heads + h) * WIDTH;
            gather(pull + place, z.next, tgt, out);
            gather(v + place, z.next, is->src, key);
            transpose(key, WIDTH, is->src, turned, z.padded);
            banded(out, turned, band, tgt, z);
            product(out, WIDTH, 1, p_turned, wide, slopes + z.wide, z.row, tgt, WIDTH, wide);
            for (ptrdiff_t t = 0; t < tgt; t++)
                softmax_slopes(weights + ((h * is->batch + b) * tgt + t) * z.row, band + t * z.padded + t,
                               slopes + t * z.row, shares + t * z.row, by_key + t * z.padded + t,
                               other + t * z.padded + t, z);
            scattered(by_key, out, dv + place, z.next, tgt, is->src, z);
            gather(q + place, z.next, tgt, query);
            gather(k + place, z.next, is->src, key);
            shifted(query, content_bias + bias, is->scale, tgt, content);
            scattered(other, content, dk + place, z.next, tgt, is->src, z);
            if (ours) {
                shifted(query, position_bias + bias, is->scale, tgt, position);
                products(1, slopes, 1, z.row, position, WIDTH, d_positions + bias, is->heads * WIDTH, z.band, tgt,
                         WIDTH);
                products(1, slopes + z.wide, 1, z.row, query, WIDTH, d_persistent_keys + own, WIDTH, many, tgt, WIDTH);
                products(1, shares + z.wide, 1, z.row, out, WIDTH, d_persistent_values + own, WIDTH, many, tgt, WIDTH);
            }
            gathered(other, key, content, WIDTH, tgt, z);
            product(slopes, z.row, 1, positions + bias, is->heads * WIDTH, position, WIDTH, tgt, z.band, WIDTH);
            product(slopes + z.wide, z.row, 1, persistent_keys + own, WIDTH, query, WIDTH, tgt, many, WIDTH);
            for (ptrdiff_t i = 0; i < WIDTH; i += LANES) {
                vec one = {0}, two = {0};
                for (ptrdiff_t t = 0; t < tgt; t++) {
                    const vec x = at(content + t * WIDTH + i), y = at(position + t * WIDTH + i);
                    *(vec *)(dq + place + t * z.next + i) = at(query + t * WIDTH + i) + (x + y) * (REAL)is->scale;
                    one += x, two += y;
                }
                if (!ours) continue;
                *(vec *)(d_content_bias + bias + i) += one * (REAL)is->scale;
                *(vec *)(d_position_bias + bias + i) += two * (REAL)is->scale;
            }
        }
        if (ours)
            for (ptrdiff_t i = own; i < own + many * WIDTH; i++) d_persistent_values[i] *= z.root;
    }
}
"""
