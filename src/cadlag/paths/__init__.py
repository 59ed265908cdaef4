"""cadlag.paths"""
