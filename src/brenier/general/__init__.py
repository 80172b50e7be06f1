"""Maps for costs other than the quadratic one. For Mahalanobis distances the quadratic machinery is exact."""
