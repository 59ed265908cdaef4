"""cadlag.report"""
