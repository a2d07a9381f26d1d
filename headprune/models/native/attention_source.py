"""The C of `fused_attention`, which follows `VECTOR_SOURCE`, for heads of a WIDTH."""

ATTENTION_SOURCE = """
/* A row of `own` has queries, keys and values of all heads, (heads, 3, WIDTH), or queries alone, (heads, WIDTH), where
   `other`, of rows (heads, 2, WIDTH), is not null. Sentence b has q_count[b] queries in rows q_first[b], q_first[b] +
   q_step and so on, and k_count[b] keys likewise. Its weights, (heads, k_count[b], its queries up to whole vectors),
   begin at b * heads * longest. A row of contexts is (heads, WIDTH). */
typedef struct {
    ptrdiff_t batch, heads, causal, longest, keys, q_step, k_step, drops; /* of 65536 weights, which become negative */
    uint64_t seed;
    const int64_t *q_first, *q_count, *k_first, *k_count;
} shape;

/* scores (keys, padded), of all queries beside each other, become weights */
INLINE void softmax(REAL *scores, const REAL *padding, ptrdiff_t causal, ptrdiff_t keys, ptrdiff_t padded) {
    vec lane, lowest;
    for (ptrdiff_t i = 0; i < LANES; i++) lane[i] = i, lowest[i] = -INFINITY;
    for (ptrdiff_t t = 0; t < padded; t += LANES) {
        vec most = lowest, sum = {0};
        for (ptrdiff_t s = 0; s < keys; s++) {
            vec x = at(scores + s * padded + t);
            if (padding) x += padding[s];
            if (causal) x = either(lane + (REAL)t < (REAL)s, lowest, x);
            most = larger(x, most);
            *(vec *)(scores + s * padded + t) = x;
        }
        for (ptrdiff_t s = 0; s < keys; s++) {
            vec *x = (vec *)(scores + s * padded + t);
            sum += *x = exponential(*x - most);
        }
        for (ptrdiff_t s = 0; s < keys; s++) *(vec *)(scores + s * padded + t) /= sum;
    }
}

/* rows of a sentence beside each other: where they are, or in `space` if others lie between them */
INLINE const REAL *gather(const REAL *from, ptrdiff_t step, ptrdiff_t rows, ptrdiff_t columns, REAL *space) {
    if (step == 1) return from;
    for (ptrdiff_t r = 0; r < rows; r++) memcpy(space + r * columns, from + r * step * columns, columns * sizeof(REAL));
    return space;
}

INLINE void scatter(const REAL *from, ptrdiff_t step, ptrdiff_t rows, ptrdiff_t columns, REAL *to) {
    if (from == to) return;
    for (ptrdiff_t r = 0; r < rows; r++) memcpy(to + r * step * columns, from + r * columns, columns * sizeof(REAL));
}

/* space as `_space` counts it */
void attention_forward(const REAL *own, const REAL *other, const REAL *padding, REAL *weights, REAL *context,
                       REAL *space, const shape *is) {
    const ptrdiff_t width = is->heads * WIDTH, parts = other ? 1 : 3, many = other ? 2 : 3;
    for (ptrdiff_t b = 0; b < is->batch; b++) {
        const ptrdiff_t queries = is->q_count[b], keys = is->k_count[b], padded = whole(queries);
        REAL *left = space + queries * parts * width, *right = left + (other ? keys * many * width : 0);
        REAL *turned = right + queries * width, *shares = turned + WIDTH * padded;
        REAL *w = weights + b * is->heads * is->longest;
        const REAL *q = gather(own + is->q_first[b] * parts * width, is->q_step, queries, parts * width, space);
        const REAL *k = q + WIDTH;
        if (other) k = gather(other + is->k_first[b] * many * width, is->k_step, keys, many * width, left);
        REAL *to = context + is->q_first[b] * width, *out = is->q_step == 1 ? to : right;
        for (ptrdiff_t h = 0; h < is->heads; h++, w += keys * padded) {
            const REAL *query = q + h * parts * WIDTH, *key = k + h * many * WIDTH, *value = key + WIDTH;
            transpose(query, parts * width, queries, turned, padded);
            product(key, many * width, 1, turned, padded, w, padded, keys, WIDTH, padded);
            softmax(w, padding ? padding + b * is->keys : 0, is->causal, keys, padded);
            if (is->drops)
                drop(w, shares, keys * padded, is->seed, (b * is->heads + h) * ((is->longest + 31) / 32), is->drops);
            product(is->drops ? shares : w, 1, padded, value, many * width, out + h * WIDTH, width, queries, keys,
                    WIDTH);
        }
        scatter(out, is->q_step, queries, width, to);
    }
}

/* pull is the derivative in the contexts; space likewise */
void attention_backward(const REAL *own, const REAL *other, const REAL *weights, const REAL *pull, REAL *to_own,
                        REAL *to_other, REAL *space, const shape *is) {
    const ptrdiff_t width = is->heads * WIDTH, parts = other ? 1 : 3, many = other ? 2 : 3;
    for (ptrdiff_t b = 0; b < is->batch; b++) {
        const ptrdiff_t queries = is->q_count[b], keys = is->k_count[b], padded = whole(queries);
        const ptrdiff_t q_place = is->q_first[b] * parts * width, k_place = is->k_first[b] * many * width;
        const ptrdiff_t q_size = queries * parts * width, k_size = other ? keys * many * width : 0;
        REAL *left = space + q_size, *right = left + k_size, *q_space = right + queries * width;
        REAL *k_space = q_space + q_size, *turned = k_space + k_size, *slopes = turned + WIDTH * padded;
        REAL *shares = slopes + keys * padded;
        const REAL *q = gather(own + q_place, is->q_step, queries, parts * width, space), *k = q + WIDTH;
        const REAL *out = gather(pull + is->q_first[b] * width, is->q_step, queries, width, right);
        const REAL *w = weights + b * is->heads * is->longest;
        REAL *dq = is->q_step == 1 ? to_own + q_place : q_space, *dk = dq + WIDTH;
        if (other) {
            k = gather(other + k_place, is->k_step, keys, many * width, left);
            dk = is->k_step == 1 ? to_other + k_place : k_space;
        }
        for (ptrdiff_t h = 0; h < is->heads; h++, w += keys * padded) {
            const ptrdiff_t here = h * parts * WIDTH, there = h * many * WIDTH;
            transpose(out + h * WIDTH, width, queries, turned, padded);
            product(k + there + WIDTH, many * width, 1, turned, padded, slopes, padded, keys, WIDTH, padded);
            for (ptrdiff_t i = 0; is->drops && i < keys * padded; i += LANES) {
                *(vec *)(shares + i) = positive(at(w + i)) * kept(is->drops);
                *(vec *)(slopes + i) = (vec)((bits)(at(slopes + i) * kept(is->drops)) & (at(w + i) > 0));
            }
            for (ptrdiff_t t = 0; t < padded; t += LANES) {
                vec mean = {0};
                for (ptrdiff_t i = t; i < keys * padded; i += padded) mean += size(at(w + i)) * at(slopes + i);
                for (ptrdiff_t i = t; i < keys * padded; i += padded)
                    *(vec *)(slopes + i) = size(at(w + i)) * (at(slopes + i) - mean);
            }
            product(slopes, 1, padded, k + there, many * width, dq + here, parts * width, queries, keys, WIDTH);
            product(slopes, padded, 1, q + here, parts * width, dk + there, many * width, keys, queries, WIDTH);
            product(is->drops ? shares : w, padded, 1, out + h * WIDTH, width, dk + there + WIDTH, many * width, keys,
                    queries, WIDTH);
        }
        scatter(dq, is->q_step, queries, parts * width, to_own + q_place);
        if (other) scatter(dk, is->k_step, keys, many * width, to_other + k_place);
    }
}
"""
