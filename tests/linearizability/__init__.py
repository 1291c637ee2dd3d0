"""Many clients at once: is there an order of their operations in which the model gives the same replies?"""
