x=$"text $y"
