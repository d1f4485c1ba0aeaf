"""Numbers of pictures and series for learners that take tables alone, such as gradient boosting."""

from tamesu.features.fitted import FittedFeatures, check_features, fit_features, measured_fields

__all__ = ["FittedFeatures", "check_features", "fit_features", "measured_fields"]
