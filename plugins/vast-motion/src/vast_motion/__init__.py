"""An avatar's motion for other programs: ARKit curves, glTF, USD, BVH."""
