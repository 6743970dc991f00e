make x=(a)
