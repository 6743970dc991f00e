#!/bin/bash
# Maintainer: A <a@example.org>
x=1 # behind
y=a#b
echo a#b #c
