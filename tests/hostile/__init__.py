"""Files that were damaged or made to do harm: whatever vast reads gives one clear error, or what is right.

``python tests/hostile`` reads many thousands of them and prints the table: target, inputs, refused, read, wrong.
"""
