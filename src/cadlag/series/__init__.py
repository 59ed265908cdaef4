"""cadlag.series"""
