"""The classic experiments on flows, as stages: four densities in the plane, and an auto-encoder of digits."""
