"""cadlag.train"""
