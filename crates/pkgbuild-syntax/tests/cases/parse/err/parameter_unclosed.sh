x=${y
