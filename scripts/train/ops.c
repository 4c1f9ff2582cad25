/* ops.c - what torch 1.13 has no fused form of, for training on a CPU: bf16 in and out, sums in
 * f32.
 *
 * Called from ops.py through ctypes. Rows are tokens; `dim` numbers each. bf16 is the upper half of
 * a float, rounded to even.
 *     cc -O3 -march=native -ffast-math -shared -fPIC -o libops.so ops.c -lm
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef uint16_t bf16;

static inline float widen(bf16 h)
{
    const uint32_t bits = (uint32_t)h << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline bf16 narrow(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (bf16)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

/* ------------------------------------------------------------------------------ GELU (tanh) */

/* The fast reciprocal makes no number of 1 / infinity, so the exponent is bounded. */
static inline float logistic(float z)
{
    return 1 / (1 + expf(fminf(-z, 80)));
}

/* x sigmoid(2 u) with u = sqrt(2/pi) (x + 0.044715 x^3), which is the tanh form */
void gelu(const bf16 *restrict x, bf16 *restrict y, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const float a = widen(x[i]), z = 1.5957691f * a * (1 + 0.044715f * a * a);
        y[i] = narrow(a * logistic(z));
    }
}

void gelu_backward(const bf16 *restrict x, const bf16 *restrict dy, bf16 *restrict dx, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const float a = widen(x[i]), z = 1.5957691f * a * (1 + 0.044715f * a * a);
        const float s = logistic(z), dz = 1.5957691f * (1 + 0.134145f * a * a);
        dx[i] = narrow(widen(dy[i]) * s * (1 + a * (1 - s) * dz));
    }
}

/* ------------------------------------------------- layer norm, then (1 + scale) and shift */

/* x f32 [batch][rows][dim]; shift, scale f32 [batch][dim]; y bf16; stats [batch][rows][2] keeps
 * the mean and 1 / deviation for the way back. */
void modulate(const float *restrict x, const float *restrict shift, const float *restrict scale,
              bf16 *restrict y, float *restrict stats, int64_t batch, int64_t rows, int64_t dim)
{
    for (int64_t r = 0; r < batch * rows; r++) {
        const float *a = x + r * dim, *s = scale + r / rows * dim, *t = shift + r / rows * dim;
        float sum = 0, squares = 0;
        for (int64_t i = 0; i < dim; i++)
            sum += a[i];
        const float mean = sum / (float)dim;
        for (int64_t i = 0; i < dim; i++)
            squares += (a[i] - mean) * (a[i] - mean);
        const float inverse = 1 / sqrtf(squares / (float)dim + 1e-6f);
        for (int64_t i = 0; i < dim; i++)
            y[r * dim + i] = narrow((a[i] - mean) * inverse * (1 + s[i]) + t[i]);
        stats[2 * r] = mean;
        stats[2 * r + 1] = inverse;
    }
}

/* dx f32 is written; dshift, dscale [batch][dim] are added to. */
void modulate_backward(const float *restrict x, const float *restrict scale,
                       const float *restrict stats, const bf16 *restrict dy, float *restrict dx,
                       float *restrict dshift, float *restrict dscale, int64_t batch, int64_t rows,
                       int64_t dim)
{
    for (int64_t r = 0; r < batch * rows; r++) {
        const int64_t b = r / rows;
        const float *a = x + r * dim, *s = scale + b * dim, mean = stats[2 * r];
        const float inverse = stats[2 * r + 1];
        const bf16 *g = dy + r * dim;
        float *ds = dscale + b * dim, *dt = dshift + b * dim, sum = 0, along = 0;
        for (int64_t i = 0; i < dim; i++) {
            const float n = (a[i] - mean) * inverse, d = widen(g[i]);
            ds[i] += d * n;
            dt[i] += d;
            sum += d * (1 + s[i]);
            along += d * (1 + s[i]) * n;
        }
        sum /= (float)dim;
        along /= (float)dim;
        for (int64_t i = 0; i < dim; i++) {
            const float n = (a[i] - mean) * inverse;
            dx[r * dim + i] = inverse * (widen(g[i]) * (1 + s[i]) - sum - n * along);
        }
    }
}

/* --------------------------------------- root mean square norm, rotation, and heads apart */

/* x bf16 [batch][rows][heads d]; weight f32 [heads d]; turn f32 [rows][d / 2][2] (cosine, sine) or
 * NULL; y bf16 [batch][heads][rows][d], times `factor`. */
void rotate(const bf16 *restrict x, const float *restrict weight, const float *restrict turn,
            bf16 *restrict y, float *restrict stats, float factor, int64_t batch, int64_t rows,
            int64_t heads, int64_t d)
{
    const int64_t dim = heads * d;
    for (int64_t r = 0; r < batch * rows; r++) {
        const int64_t b = r / rows, row = r % rows;
        const bf16 *a = x + r * dim;
        float squares = 0;
        for (int64_t i = 0; i < dim; i++)
            squares += widen(a[i]) * widen(a[i]);
        const float inverse = 1 / sqrtf(squares / (float)dim + 1e-6f);
        stats[r] = inverse;
        for (int64_t h = 0; h < heads; h++) {
            bf16 *out = y + ((b * heads + h) * rows + row) * d;
            for (int64_t i = 0; i < d / 2; i++) {
                const int64_t j = h * d + 2 * i;
                const float c = turn ? turn[(row * (d / 2) + i) * 2] : 1;
                const float s = turn ? turn[(row * (d / 2) + i) * 2 + 1] : 0;
                const float p = widen(a[j]) * inverse * weight[j] * factor;
                const float q = widen(a[j + 1]) * inverse * weight[j + 1] * factor;
                out[2 * i] = narrow(p * c - q * s);
                out[2 * i + 1] = narrow(p * s + q * c);
            }
        }
    }
}

/* dx bf16 is written, dweight [heads d] added to; `turned` is room for one row, f32 [heads d]. */
void rotate_backward(const bf16 *restrict x, const float *restrict weight,
                     const float *restrict turn, const float *restrict stats,
                     const bf16 *restrict dy, bf16 *restrict dx, float *restrict dweight,
                     float *restrict turned, float factor, int64_t batch, int64_t rows,
                     int64_t heads, int64_t d)
{
    const int64_t dim = heads * d;
    for (int64_t r = 0; r < batch * rows; r++) {
        const int64_t b = r / rows, row = r % rows;
        const bf16 *a = x + r * dim;
        const float inverse = stats[r];
        for (int64_t h = 0; h < heads; h++) {
            const bf16 *g = dy + ((b * heads + h) * rows + row) * d;
            for (int64_t i = 0; i < d / 2; i++) {
                const float c = turn ? turn[(row * (d / 2) + i) * 2] : 1;
                const float s = turn ? turn[(row * (d / 2) + i) * 2 + 1] : 0;
                const float p = widen(g[2 * i]) * factor, q = widen(g[2 * i + 1]) * factor;
                turned[h * d + 2 * i] = p * c + q * s;
                turned[h * d + 2 * i + 1] = q * c - p * s;
            }
        }
        float along = 0;
        for (int64_t i = 0; i < dim; i++) {
            const float n = widen(a[i]) * inverse;
            dweight[i] += turned[i] * n;
            turned[i] *= weight[i];
            along += turned[i] * n;
        }
        along /= (float)dim;
        for (int64_t i = 0; i < dim; i++)
            dx[r * dim + i] = narrow(inverse * (turned[i] - widen(a[i]) * inverse * along));
    }
}

/* ------------------------------------------------------------------- residual with a gate */

/* out = x + gate y: x, out f32 [batch][rows][dim], y bf16, gate f32 [batch][dim] or NULL for 1 */
void gated(const float *restrict x, const bf16 *restrict y, const float *restrict gate,
           float *restrict out, int64_t batch, int64_t rows, int64_t dim)
{
    for (int64_t r = 0; r < batch * rows; r++)
        for (int64_t i = 0; i < dim; i++) {
            const float g = gate ? gate[r / rows * dim + i] : 1;
            out[r * dim + i] = x[r * dim + i] + g * widen(y[r * dim + i]);
        }
}

/* dy bf16 is written, dgate (if any) added to; the gradient of x is d itself. */
void gated_backward(const float *restrict d, const bf16 *restrict y, const float *restrict gate,
                    bf16 *restrict dy, float *restrict dgate, int64_t batch, int64_t rows,
                    int64_t dim)
{
    for (int64_t r = 0; r < batch * rows; r++) {
        const int64_t b = r / rows;
        for (int64_t i = 0; i < dim; i++)
            dy[r * dim + i] = narrow(d[r * dim + i] * (gate ? gate[b * dim + i] : 1));
        for (int64_t i = 0; gate && i < dim; i++)
            dgate[b * dim + i] += d[r * dim + i] * widen(y[r * dim + i]);
    }
}
