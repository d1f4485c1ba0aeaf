"""The linear learner, with time to be interrupted in."""

import time

from linear import Linear


class Slow(Linear):
    def fit(self, *given, **more):
        time.sleep(0.3)
        return super().fit(*given, **more)
