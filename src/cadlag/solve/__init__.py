"""cadlag.solve"""
