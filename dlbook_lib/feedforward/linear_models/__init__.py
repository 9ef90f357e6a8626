"""Linear and logistic regression, and where a hyperplane stops being enough."""
