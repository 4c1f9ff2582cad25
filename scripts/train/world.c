/* world.c - a tiny ray-traced world: one or two objects on a checkered ground under a sky.
 *
 * Renders short clips whose content is fully described by a handful of parameters, so that every
 * clip has an exact caption. Built as a shared library and called from world.py through ctypes:
 *     cc -O3 -march=native -ffast-math -shared -fPIC -o libworld.so world.c -lm
 */
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    float x, y, z;
} vec;
static vec v(float x, float y, float z)
{
    return (vec){ x, y, z };
}
static vec add(vec a, vec b)
{
    return v(a.x + b.x, a.y + b.y, a.z + b.z);
}
static vec sub(vec a, vec b)
{
    return v(a.x - b.x, a.y - b.y, a.z - b.z);
}
static vec mul(vec a, float s)
{
    return v(a.x * s, a.y * s, a.z * s);
}
static float dot(vec a, vec b)
{
    return a.x * b.x + a.y * b.y + a.z * b.z;
}
static vec cross(vec a, vec b)
{
    return v(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x);
}
static vec norm(vec a)
{
    return mul(a, 1.0f / sqrtf(dot(a, a)));
}

enum shape { BALL, CUBE, CYLINDER, CONE, STAR };

struct object {
    int32_t shape;
    float centre[3], radius, yaw;
    float colour[3];
};

/* One frame of the world. Lengths are in metres, angles in radians, colours in [0,1]. */
struct scene {
    int32_t count; /* of objects, 1 or 2 */
    struct object object[2];
    float ground[2][3];
    float sky[2][3]; /* horizon, zenith */
    float light;     /* 1 by day, less at night */
    float haze;      /* share of the view lost to the horizon's colour, for each metre */
    float eye[3], look[3], fov;
};

/* Rays against an object in its own frame (centre 0, yaw undone): the distance or -1; write the
 * normal. */

static float hit_ball(float r, vec o, vec d, vec *n)
{
    const float b = dot(o, d), c = dot(o, o) - r * r, h = b * b - c;
    if (h < 0)
        return -1;
    const float t = -b - sqrtf(h);
    if (t < 1e-3f)
        return -1;
    *n = mul(add(o, mul(d, t)), 1 / r);
    return t;
}

static float hit_cube(float r, vec o, vec d, vec *n)
{
    const float a = 0.82f * r, op[3] = { o.x, o.y, o.z }, dp[3] = { d.x, d.y, d.z };
    float t0 = -1e9f, t1 = 1e9f;
    int axis = 0;
    for (int i = 0; i < 3; i++) {
        const float inv = 1.0f / (fabsf(dp[i]) < 1e-6f ? 1e-6f : dp[i]);
        const float x0 = (-a - op[i]) * inv, x1 = (a - op[i]) * inv;
        if (fminf(x0, x1) > t0) {
            t0 = fminf(x0, x1);
            axis = i;
        }
        t1 = fminf(t1, fmaxf(x0, x1));
    }
    if (t0 > t1 || t0 < 1e-3f)
        return -1;
    float m[3] = { 0, 0, 0 };
    m[axis] = dp[axis] > 0 ? -1.0f : 1.0f;
    *n = v(m[0], m[1], m[2]);
    return t0;
}

/* Cylinder and cone of height 2r about the y axis; the radius at height y is w r, or k (r - y). */
static float hit_round(bool cone, float r, vec o, vec d, vec *n)
{
    const float k = cone ? 0.5f : 0.0f, w = cone ? 1.0f : 0.75f;
    const float oy = r - o.y, dy = -d.y, fixed = cone ? 0 : w * w * r * r;
    const float A = d.x * d.x + d.z * d.z - k * k * dy * dy;
    const float B = o.x * d.x + o.z * d.z - k * k * oy * dy;
    const float C = o.x * o.x + o.z * o.z - k * k * oy * oy - fixed;
    const float h = B * B - A * C;
    float best = -1;
    for (int i = 0; i < 2 && h >= 0 && fabsf(A) > 1e-9f; i++) {
        const float t = (-B + (i ? sqrtf(h) : -sqrtf(h))) / A;
        const vec p = add(o, mul(d, t));
        if (t > 1e-3f && p.y > -r && p.y < r && (best < 0 || t < best)) {
            best = t;
            *n = norm(v(p.x, cone ? k * sqrtf(p.x * p.x + p.z * p.z) : 0, p.z));
        }
    }
    for (int cap = cone ? 1 : 0; cap < 2; cap++) { /* top and bottom */
        const float y = cap ? -r : r, t = (y - o.y) / (fabsf(d.y) < 1e-6f ? 1e-6f : d.y);
        const vec p = add(o, mul(d, t));
        const float edge = cone ? k * 2 * r : w * r;
        if (t > 1e-3f && p.x * p.x + p.z * p.z < edge * edge && (best < 0 || t < best)) {
            best = t;
            *n = v(0, cap ? -1.0f : 1.0f, 0);
        }
    }
    return best;
}

/* A five-pointed star in the plane z = 0, points at r and notches at 0.42 r, 0.5 r thick. */

static void star_corner(int i, float r, float *x, float *y)
{
    const float angle = (float)i * 0.62831853f, reach = i & 1 ? 0.42f * r : r;
    *x = reach * sinf(angle);
    *y = reach * cosf(angle);
}

static bool in_star(float r, float x, float y)
{
    bool inside = false;
    for (int i = 0; i < 10; i++) {
        float ax, ay, bx, by;
        star_corner(i, r, &ax, &ay);
        star_corner(i + 1, r, &bx, &by);
        if ((ay > y) != (by > y) && x < (bx - ax) * (y - ay) / (by - ay) + ax)
            inside = !inside;
    }
    return inside;
}

/* The side between two corners: a rectangle as deep as the star. */
static float hit_star_side(int i, float r, vec o, vec d, vec *n)
{
    float ax, ay, bx, by;
    star_corner(i, r, &ax, &ay);
    star_corner(i + 1, r, &bx, &by);
    const float ex = bx - ax, ey = by - ay, along = d.x * ey - d.y * ex;
    if (fabsf(along) < 1e-6f)
        return -1;
    const float t = ((ax - o.x) * ey - (ay - o.y) * ex) / along;
    const vec p = add(o, mul(d, t));
    const float s = ((p.x - ax) * ex + (p.y - ay) * ey) / (ex * ex + ey * ey);
    if (t < 1e-3f || s < 0 || s > 1 || fabsf(p.z) > 0.25f * r)
        return -1;
    *n = norm(v(-ey, ex, 0));
    return t;
}

static float hit_star(float r, vec o, vec d, vec *n)
{
    float best = -1;
    for (int i = 0; i < 10; i++) {
        vec m;
        const float t = hit_star_side(i, r, o, d, &m);
        if (t > 0 && (best < 0 || t < best)) {
            best = t;
            *n = m;
        }
    }
    for (int back = 0; back < 2; back++) {
        const float z = back ? -0.25f * r : 0.25f * r;
        const float t = (z - o.z) / (fabsf(d.z) < 1e-6f ? 1e-6f : d.z);
        const vec p = add(o, mul(d, t));
        if (t > 1e-3f && (best < 0 || t < best) && in_star(r, p.x, p.y)) {
            best = t;
            *n = v(0, 0, back ? -1.0f : 1.0f);
        }
    }
    return best;
}

/* `bound` spheres are tried first: most rays miss. */
static bool misses(float bound, vec o, vec d)
{
    const float b = dot(o, d);
    return b * b - (dot(o, o) - bound * bound) < 0;
}

static float hit_object(const struct object *a, vec o, vec d, vec *n)
{
    if (misses(1.5f * a->radius, o, d))
        return -1;
    switch (a->shape) {
    case BALL: return hit_ball(a->radius, o, d, n);
    case CUBE: return hit_cube(a->radius, o, d, n);
    case STAR: return hit_star(a->radius, o, d, n);
    default: return hit_round(a->shape == CONE, a->radius, o, d, n);
    }
}

/* Towards the sun: (0.5, 0.9, 0.35) normalised. */
static const vec SUN = { 0.4598005f, 0.8276409f, 0.3218604f };

static vec turn(vec a, float yaw)
{
    float c = cosf(yaw), s = sinf(yaw);
    return v(c * a.x + s * a.z, a.y, -s * a.x + c * a.z);
}

static vec of(const float c[3])
{
    return v(c[0], c[1], c[2]);
}

/* The ray in the object's own frame. */
static void into(const struct object *a, vec eye, vec dir, vec *o, vec *d)
{
    *o = turn(sub(eye, of(a->centre)), a->yaw);
    *d = turn(dir, a->yaw);
}

/* The object's colour where it is hit; two of its four quarters are paler (of a white one: grey), so that
 * it is seen to turn. */
static vec shade_object(const struct scene *s, const struct object *a, vec local, vec normal)
{
    const vec colour = of(a->colour);
    const float towards = colour.x + colour.y + colour.z > 2.7f ? 0.3f : 1.0f;
    const float quarter = cosf(2 * atan2f(local.z, local.x));
    const float paler = 0.2f - 0.2f * fmaxf(-1, fminf(1, 4 * quarter));
    const float lit = 0.35f + 0.65f * fmaxf(0, dot(turn(normal, -a->yaw), SUN));
    const vec painted = add(mul(colour, 1 - paler), mul(v(towards, towards, towards), paler));
    return mul(painted, lit * s->light);
}

static bool in_shadow(const struct scene *s, vec p)
{
    for (int i = 0; i < s->count; i++) {
        vec o, d, unused;
        into(&s->object[i], p, SUN, &o, &d);
        if (hit_object(&s->object[i], o, d, &unused) > 0)
            return true;
    }
    return false;
}

/* Mean over a width w of the square wave that is +1 on [0,1) and -1 on [1,2). */
static float wave(float x, float w)
{
    const float a = (x - 0.5f * w) * 0.5f, b = (x + 0.5f * w) * 0.5f;
    return 2 * (fabsf(a - floorf(a) - 0.5f) - fabsf(b - floorf(b) - 0.5f)) / w;
}

/* The checkers under one sample, averaged over its footprint so that none are missed far away;
 * `pixel` is the angle of a sample. */
static float checker(vec p, vec dir, float t, float pixel)
{
    const float side = t * pixel, along = side / fmaxf(-dir.y, 1e-3f);
    const float flat = sqrtf(dir.x * dir.x + dir.z * dir.z) + 1e-6f;
    const float cx = fabsf(dir.x) / flat, cz = fabsf(dir.z) / flat;
    return 0.5f - 0.5f * wave(p.x, cx * along + cz * side) * wave(p.z, cz * along + cx * side);
}

static vec mix(vec a, vec b, float share)
{
    return add(mul(a, 1 - share), mul(b, share));
}

/* Checkered ground with shadows, fading into the horizon with the distance t. */
static vec shade_ground(const struct scene *s, vec p, vec dir, float t, float pixel)
{
    const vec colour = mix(of(s->ground[0]), of(s->ground[1]), checker(p, dir, t, pixel));
    const float lit = in_shadow(s, p) ? 0.45f : 1.0f;
    return mix(of(s->sky[0]), mul(colour, lit * s->light), expf(-s->haze * t));
}

static vec shade(const struct scene *s, vec eye, vec dir, float pixel)
{
    const float ground = dir.y < -1e-4f ? -eye.y / dir.y : -1;
    const struct object *nearest = NULL;
    vec local, normal;
    float best = ground > 0 && ground < 60 ? ground : 1e9f;
    for (int i = 0; i < s->count; i++) {
        vec o, d, n;
        into(&s->object[i], eye, dir, &o, &d);
        const float t = hit_object(&s->object[i], o, d, &n);
        if (t > 0 && t < best) {
            best = t;
            nearest = &s->object[i];
            local = add(o, mul(d, t));
            normal = n;
        }
    }
    /* objects fade in fog only: clear air takes nothing over a few metres */
    if (nearest)
        return mix(of(s->sky[0]), shade_object(s, nearest, local, normal),
                   expf(-fmaxf(0, s->haze - 0.04f) * best));
    if (best < 1e8f)
        return shade_ground(s, add(eye, mul(dir, best)), dir, best, pixel);
    return mix(of(s->sky[0]), of(s->sky[1]), fminf(1, fmaxf(0, dir.y * 2)));
}

static uint8_t byte(float c)
{
    return (uint8_t)(255.0f * fminf(1, c) + 0.5f);
}

static vec sample_pixel(const struct scene *s, const vec axes[3], float k, float px, float py)
{
    const vec dir = norm(add(axes[2], add(mul(axes[0], px * k), mul(axes[1], py * k))));
    return shade(s, of(s->eye), dir, k);
}

static void render_frame(const struct scene *s, int height, int width, const int window[4],
                         uint8_t *out)
{
    const vec fwd = norm(sub(of(s->look), of(s->eye)));
    const vec right = norm(cross(fwd, v(0, 1, 0))), axes[3] = { right, cross(right, fwd), fwd };
    const float k = tanf(s->fov / 2) * 2 / (width < height ? width : height);
    for (int y = window[0]; y < window[0] + window[2]; y++)
        for (int x = window[1]; x < window[1] + window[3]; x++, out += 3) {
            vec sum = v(0, 0, 0);
            for (int q = 0; q < 4; q++) {
                const float px = x + 0.25f + 0.5f * (q & 1) - width / 2.0f;
                const float py = height / 2.0f - (y + 0.25f + 0.5f * (q >> 1));
                sum = add(sum, mul(sample_pixel(s, axes, k, px, py), 0.25f));
            }
            out[0] = byte(sum.x), out[1] = byte(sum.y), out[2] = byte(sum.z);
        }
}

/* Renders the window (top, left, rows, columns) of `frames` scenes of height x width pixels into
 * out[frames][rows][columns][3] as 8-bit RGB, 2x2 samples a pixel. */
void render(const struct scene *scenes, int frames, int height, int width, const int window[4],
            uint8_t *out)
{
    for (int f = 0; f < frames; f++)
        render_frame(scenes + f, height, width, window,
                     out + (size_t)f * window[2] * window[3] * 3);
}
