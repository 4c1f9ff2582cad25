/* tensor_ops.h - cut, join and mix whole tensors: what the latent and image tools rest on.
 *
 * Axes count from 0, outermost first. Results are new tensors; the dtype is kept.
 */
#pragma once

#include "base/err.h"
#include "compute/tensor.h"

/* Items start .. start + count - 1 of an axis. A negative start counts from the end; count = 0
 * means to the end. axis_name is for the message. */
tb_tensor *tb_tensor_slice(const tb_tensor *t, int axis, const char *axis_name, int64_t start,
                           int64_t count, tb_err *err);
/* The shape of that slice, or why there is none: for plan functions. */
tb_status tb_shape_slice(tb_shape *shape, int axis, const char *axis_name, int64_t start,
                         int64_t count, tb_err *err);
/* Items start .. start + count - 1 of an axis that runs in a circle: behind its last item comes the
 * first. Any start; count >= 1. */
tb_tensor *tb_tensor_ring(const tb_tensor *t, int axis, int64_t start, int64_t count, tb_err *err);
/* Item i of the first axis, which stays with size 1; shares the memory. */
tb_tensor *tb_tensor_item(const tb_tensor *t, int64_t i, tb_err *err);
/* One behind the other along an axis; all other sizes and the dtypes must agree. */
tb_tensor *tb_tensor_concat(const tb_tensor *const *t, int n, int axis, tb_err *err);
/* a + (b - a) * amount, f32, same shapes. */
tb_tensor *tb_tensor_mix(const tb_tensor *a, const tb_tensor *b, double amount, tb_err *err);
/* Between a and b: exactly a where amount * mask is 0, exactly b where it is 1. a, b
 * [frames,height,width,channels], mask [1 or frames,height,width]. */
tb_tensor *tb_tensor_mix_masked(const tb_tensor *a, const tb_tensor *b, const tb_tensor *mask,
                                double amount, tb_err *err);
/* Along the arc between a and b (Shoemake, "Animating rotation with quaternion curves", 1985):
 * keeps the variance of noise, where mixing would lower it. f32, same shapes. */
tb_tensor *tb_tensor_slerp(const tb_tensor *a, const tb_tensor *b, double amount, tb_err *err);
