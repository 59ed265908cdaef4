"""cadlag.cli"""
