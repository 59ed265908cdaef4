"""cadlag.recipes"""
