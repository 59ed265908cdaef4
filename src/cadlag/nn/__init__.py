"""cadlag.nn"""
