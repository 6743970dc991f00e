//! Shell arithmetic on text: 64-bit wrapping integers, every operator of bash(1),
//! "ARITHMETIC EVALUATION".

mod assigned;
mod number;

use super::dynamic::Stop;
pub(crate) use assigned::assigned;
pub(crate) use number::number;
use number::plain_decimal;

/// Parentheses, unary operators and variables that hold expressions may nest this deep.
const MAX_DEPTH: u32 = 120;

/// Where arithmetic reads and assigns variables.
pub(crate) trait Variables {
    /// The text of a variable, or of one element of an array; `None` when unset.
    fn read(&mut self, name: &str, subscript: Option<&str>) -> Result<Option<String>, Stop>;
    /// Assigns a result.
    fn assign(&mut self, name: &str, subscript: Option<&str>, value: i64) -> Result<(), Stop>;
    /// The index that a subscript comes to, so that its side effects happen once.
    fn settle(&mut self, name: &str, subscript: &str) -> Result<String, Stop>;
    /// Pays for one operation.
    fn step(&mut self) -> Result<(), Stop>;
}

/// Evaluates `text`, which has been through the expansions already; empty text is 0.
pub(crate) fn evaluate(text: &str, variables: &mut dyn Variables) -> Result<i64, Stop> {
    evaluate_at(text, variables, 0)
}

fn evaluate_at(text: &str, variables: &mut dyn Variables, depth: u32) -> Result<i64, Stop> {
    if let Some(number) = plain_decimal(text) {
        return Ok(number);
    }
    let mut parser = Parser {
        text,
        at: 0,
        variables,
        depth,
        live: true,
    };
    parser.blanks();
    if parser.at == text.len() {
        return Ok(0);
    }
    let value = parser.comma()?;
    parser.blanks();
    if parser.at < text.len() {
        return Err(parser.error("syntax error in expression"));
    }
    Ok(value)
}

struct Place {
    name: String,
    subscript: Option<String>,
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    variables: &'a mut dyn Variables,
    depth: u32,
    /// False in the branch that `&&`, `||` or `?:` does not take.
    live: bool,
}

/// Binary operators, longest first, with their binding power; assignment and `?:` apart.
const BINARY: [(&str, u8); 19] = [
    ("**", 13),
    ("<<", 10),
    (">>", 10),
    ("<=", 9),
    (">=", 9),
    ("==", 8),
    ("!=", 8),
    ("&&", 4),
    ("||", 3),
    ("*", 12),
    ("/", 12),
    ("%", 12),
    ("+", 11),
    ("-", 11),
    ("<", 9),
    (">", 9),
    ("&", 7),
    ("^", 6),
    ("|", 5),
];

const ASSIGNMENT: [&str; 10] = ["<<=", ">>=", "*=", "/=", "%=", "+=", "-=", "&=", "^=", "|="];

impl Parser<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn error(&self, what: &str) -> Stop {
        Stop::failed(format!(
            "{}: {what} (error token is \"{}\")",
            self.text,
            self.rest()
        ))
    }

    fn blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n']).len();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.blanks();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn deeper<T>(&mut self, run: impl FnOnce(&mut Self) -> Result<T, Stop>) -> Result<T, Stop> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Stop::Exhausted(super::budget::Exhausted::Depth));
        }
        let result = run(self);
        self.depth -= 1;
        result
    }

    fn comma(&mut self) -> Result<i64, Stop> {
        let mut value = self.assignment()?;
        while self.eat(",") {
            value = self.assignment()?;
        }
        Ok(value)
    }

    fn assignment(&mut self) -> Result<i64, Stop> {
        self.deeper(|parser| {
            let start = parser.at;
            parser.blanks();
            if let Some(place) = parser.place()? {
                parser.blanks();
                let rest = parser.rest();
                if rest.starts_with('=') && !rest.starts_with("==") {
                    parser.at += 1;
                    let value = parser.assignment()?;
                    return parser.store(&place, value);
                }
                if let Some(operator) = ASSIGNMENT.iter().find(|op| rest.starts_with(**op)) {
                    parser.at += operator.len();
                    let place = parser.settled(place)?;
                    let left = parser.load(&place)?;
                    let right = parser.assignment()?;
                    let value = parser.apply(&operator[..operator.len() - 1], left, right)?;
                    return parser.store(&place, value);
                }
            }
            parser.at = start;
            parser.conditional()
        })
    }

    fn conditional(&mut self) -> Result<i64, Stop> {
        let condition = self.binary(0)?;
        if !self.eat("?") {
            return Ok(condition);
        }
        let live = self.live;
        self.live = live && condition != 0;
        let yes = self.deeper(Self::comma)?;
        self.live = live && condition == 0;
        if !self.eat(":") {
            return Err(self.error("`:' expected for conditional expression"));
        }
        let no = self.deeper(|parser| {
            // bash allows an assignment here only in parentheses, like C.
            parser.conditional()
        })?;
        self.live = live;
        Ok(if condition != 0 { yes } else { no })
    }

    fn operator(&mut self) -> Option<(&'static str, u8)> {
        self.blanks();
        let rest = self.rest();
        if ASSIGNMENT.iter().any(|op| rest.starts_with(op)) {
            return None;
        }
        BINARY
            .iter()
            .copied()
            .find(|(token, _)| rest.starts_with(token))
    }

    fn binary(&mut self, least: u8) -> Result<i64, Stop> {
        let mut left = self.unary()?;
        while let Some((token, power)) = self.operator() {
            if power < least {
                break;
            }
            self.at += token.len();
            self.variables.step()?;
            let live = self.live;
            match token {
                "&&" => self.live = live && left != 0,
                "||" => self.live = live && left == 0,
                _ => {}
            }
            // `**` binds to the right, everything else to the left.
            let next = if token == "**" { power } else { power + 1 };
            let right = self.deeper(|parser| parser.binary(next))?;
            self.live = live;
            left = self.apply(token, left, right)?;
        }
        Ok(left)
    }

    fn apply(&self, token: &str, left: i64, right: i64) -> Result<i64, Stop> {
        // The processor takes the shift count modulo 64, and bash leaves it to it.
        let shift = u32::try_from(right & 63).unwrap_or(0);
        Ok(match token {
            "**" => return self.power(left, right),
            "*" => left.wrapping_mul(right),
            "/" | "%" if right == 0 => {
                if self.live {
                    return Err(self.error("division by 0"));
                }
                0
            }
            "/" => left.wrapping_div(right),
            "%" => left.wrapping_rem(right),
            "+" => left.wrapping_add(right),
            "-" => left.wrapping_sub(right),
            "<<" => left.wrapping_shl(shift),
            ">>" => left.wrapping_shr(shift),
            "<" => i64::from(left < right),
            ">" => i64::from(left > right),
            "<=" => i64::from(left <= right),
            ">=" => i64::from(left >= right),
            "==" => i64::from(left == right),
            "!=" => i64::from(left != right),
            "&" => left & right,
            "^" => left ^ right,
            "|" => left | right,
            "&&" => i64::from(left != 0 && right != 0),
            _ => i64::from(left != 0 || right != 0),
        })
    }

    fn power(&self, base: i64, exponent: i64) -> Result<i64, Stop> {
        if exponent < 0 {
            return if self.live {
                Err(self.error("exponent less than 0"))
            } else {
                Ok(0)
            };
        }
        let (mut result, mut base, mut left) = (1_i64, base, exponent);
        while left > 0 {
            if left & 1 == 1 {
                result = result.wrapping_mul(base);
            }
            base = base.wrapping_mul(base);
            left >>= 1;
        }
        Ok(result)
    }

    fn unary(&mut self) -> Result<i64, Stop> {
        self.variables.step()?;
        self.blanks();
        let rest = self.rest();
        for (token, delta) in [("++", 1_i64), ("--", -1)] {
            if let Some(after) = rest.strip_prefix(token) {
                let start = self.at;
                self.at = self.text.len() - after.len();
                self.blanks();
                if let Some(place) = self.place()? {
                    let place = self.settled(place)?;
                    let value = self.load(&place)?.wrapping_add(delta);
                    return self.store(&place, value);
                }
                // Without a variable these are two signs.
                self.at = start + 1;
                let value = self.deeper(Self::unary)?;
                return Ok(if delta < 0 {
                    value.wrapping_neg()
                } else {
                    value
                });
            }
        }
        for sign in ['!', '~', '-', '+'] {
            if rest.starts_with(sign) {
                self.at += 1;
                let value = self.deeper(Self::unary)?;
                return Ok(match sign {
                    '!' => i64::from(value == 0),
                    '~' => !value,
                    '-' => value.wrapping_neg(),
                    _ => value,
                });
            }
        }
        self.primary()
    }

    fn primary(&mut self) -> Result<i64, Stop> {
        if self.eat("(") {
            let value = self.deeper(Self::comma)?;
            if !self.eat(")") {
                return Err(self.error("missing `)'"));
            }
            return Ok(value);
        }
        if let Some(mut place) = self.place()? {
            let rest = self.rest().trim_start_matches([' ', '\t', '\n']);
            if rest.starts_with("++") || rest.starts_with("--") {
                place = self.settled(place)?;
            }
            let value = self.load(&place)?;
            for (token, delta) in [("++", 1_i64), ("--", -1)] {
                let before = self.at;
                if self.eat(token) {
                    // `a++b` is a sum of `a` and `+b`.
                    self.blanks();
                    let next = self.rest().chars().next();
                    if next.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_' || c == '(') {
                        self.at = before;
                        break;
                    }
                    self.store(&place, value.wrapping_add(delta))?;
                    break;
                }
            }
            return Ok(value);
        }
        self.number()
    }

    fn number(&mut self) -> Result<i64, Stop> {
        let rest = self.rest();
        let length = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '#' | '@' | '_')))
            .unwrap_or(rest.len());
        let token = &self.text[self.at..self.at + length];
        if !token.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.error("syntax error: operand expected"));
        }
        let value = number(token).ok_or_else(|| self.error("value too great for base"))?;
        self.at += length;
        Ok(value)
    }

    /// A variable name with an optional subscript at the current position.
    fn place(&mut self) -> Result<Option<Place>, Stop> {
        let rest = self.rest();
        if !rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            return Ok(None);
        }
        let length = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(rest.len());
        let name = rest[..length].to_owned();
        let after = &rest[length..];
        let mut subscript = None;
        let mut taken = length;
        if after.starts_with('[') {
            let mut depth = 0;
            let end = after.char_indices().find_map(|(at, c)| {
                match c {
                    '[' => depth += 1,
                    ']' => depth -= 1,
                    _ => {}
                }
                (depth == 0).then_some(at)
            });
            let Some(end) = end else {
                return Err(self.error("bad array subscript"));
            };
            subscript = Some(after[1..end].to_owned());
            taken += end + 1;
        }
        self.at += taken;
        Ok(Some(Place { name, subscript }))
    }

    /// Evaluates the subscript of a place that is both read and assigned.
    fn settled(&mut self, mut place: Place) -> Result<Place, Stop> {
        if self.live
            && let Some(subscript) = &place.subscript
        {
            place.subscript = Some(self.variables.settle(&place.name, subscript)?);
        }
        Ok(place)
    }

    fn load(&mut self, place: &Place) -> Result<i64, Stop> {
        if !self.live {
            return Ok(0);
        }
        let text = self
            .variables
            .read(&place.name, place.subscript.as_deref())?;
        match text {
            None => Ok(0),
            Some(text) => {
                if self.depth >= MAX_DEPTH {
                    return Err(Stop::Exhausted(super::budget::Exhausted::Depth));
                }
                self.variables.step()?;
                evaluate_at(&text, self.variables, self.depth + 8)
            }
        }
    }

    fn store(&mut self, place: &Place, value: i64) -> Result<i64, Stop> {
        if self.live {
            self.variables
                .assign(&place.name, place.subscript.as_deref(), value)?;
        }
        Ok(value)
    }
}
