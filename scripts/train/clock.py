"""Training by the clock: a training lasts so many minutes in all, over as many runs as it takes;
learning rates and saves follow the time."""
import math
import time


class Clock:
    """`before`: minutes of earlier runs. A training that has had its time does not start again."""

    def __init__(self, minutes, save_every, before=0.0):
        self.length, self.save_every, self.before = minutes, save_every, before
        self.start = self.saved = time.time()

    def seconds(self):
        return time.time() - self.start

    def minutes(self):
        """Of all runs so far."""
        return self.before + self.seconds() / 60

    def done(self):
        """Share of the time that is over; 1 or more at the end."""
        return self.minutes() / self.length

    def rate(self, top, step, warm_up):
        """Linear warm-up over the first steps, then half a cosine down to 2 % of the top rate."""
        cosine = 0.5 * (1 + math.cos(math.pi * min(1, self.done())))
        return top * min(1, (step + 1) / warm_up) * (0.02 + 0.98 * cosine)

    def save_is_due(self):
        due = time.time() - self.saved > self.save_every
        if due:
            self.saved = time.time()
        return due
