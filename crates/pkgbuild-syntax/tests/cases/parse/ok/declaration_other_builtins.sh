eval x=(a)
let y=(b)
alias z=(c)
