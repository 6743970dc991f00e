x=${y:-z
