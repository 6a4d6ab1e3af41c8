LIES = {}
def possess(world): pass
