"""cadlag.data"""
