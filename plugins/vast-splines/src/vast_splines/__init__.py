"""A posterior flow of rational quadratic splines, from zuko."""
