! a | b
! ! c
!
