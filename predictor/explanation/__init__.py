"""Why a prediction is what it is: SHAP values, and what-if changes."""
