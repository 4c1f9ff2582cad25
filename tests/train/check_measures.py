"""Checks scripts/train/measure.py against cases with known answers: python3 check_measures.py"""
import os
import sys
import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts/train"))
import judge  # noqa: E402
import measure  # noqa: E402
import world  # noqa: E402


def close(got, want, what, tolerance=1e-6):
    if not abs(got - want) <= tolerance * max(1, abs(want)):
        sys.exit(f"{what}: got {got}, wanted {want}")


def check_frechet():
    zero = np.zeros(2)
    # between diagonal covariances it is the sum of (sqrt a - sqrt b)^2
    d = measure.frechet(zero, np.diag([1.0, 4.0]), zero, np.diag([9.0, 16.0]))
    close(d, 4 + 4, "distance of diagonal covariances")
    rng = np.random.default_rng(0)
    a = rng.normal(size=(5, 5))
    s = a @ a.T
    close(measure.frechet(np.zeros(5), s, np.ones(5), s), 5, "distance of shifted means")
    # a rotation changes nothing
    q = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    t = np.diag(rng.uniform(0.1, 2, 5))
    mean = rng.normal(size=5)
    straight = measure.frechet(mean, s, 0 * mean, t)
    turned = measure.frechet(q @ mean, q @ s @ q.T, 0 * mean, q @ t @ q.T)
    close(turned, straight, "distance after a rotation")
    # one dimension: (m1 - m2)^2 + (s1 - s2)^2, and of a rank deficient covariance
    close(measure.frechet([3.0], [[4.0]], [1.0], [[0.0]]), 8, "distance to a point")
    x = rng.normal(size=(50, 3))
    close(measure.moments(x)[1][0, 1], np.cov(x.T)[0, 1], "covariance")


def check_pictures():
    a = np.full((1, 4, 4, 3), 100, np.uint8)
    close(measure.psnr(a, a + np.uint8(10)), 20 * np.log10(25.5), "PSNR of a difference of 10")
    step = np.zeros((1, 2, 5, 3), np.uint8)
    step[:, :, 2:] = 40  # one of four differences across is 40, none down
    close(measure.gradient_energy(step), 400, "gradient energy of a step", 1e-3)


def check_camera():
    """An orbit is seen where it is; a still camera, or a picture two pixels off, is told from it."""
    rng = np.random.default_rng(5)
    scene = judge.held_out_scene(rng)
    scene.update(camera="orbits left", sky="by day")
    clip = world.clip(scene, 17, 64, 64)
    share = lambda c: np.mean(np.array(measure.camera_offsets(c, scene)) <= 1.5)
    close(share(clip), 1, "frames of the rendering itself that agree with the camera")
    close(share(judge.worn(clip, rng)), 1, "frames with noise that agree with the camera")
    wrong = dict(
        still=world.clip(dict(scene, camera=""), 17, 64, 64), shifted=np.roll(clip, 3, (1, 2))
    )
    for name, c in wrong.items():
        if share(c) > 0.6:
            sys.exit(f"{share(c):.2f} of the frames of a {name} picture agree with the camera")


if __name__ == "__main__":
    check_frechet()
    check_pictures()
    check_camera()
    print("ok   measures")
