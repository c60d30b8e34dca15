"""Classic experiments on flows, as stages: four densities in the plane, and an autoencoder of digits."""
