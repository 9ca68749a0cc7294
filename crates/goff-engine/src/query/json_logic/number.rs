//! Numbers and texts, converted as the dialect does.

/// A number in Go's syntax, which must be the whole text.
///
/// Overflow gives an infinity with the flag set.
pub(super) struct Parsed {
    pub(super) value: f64,
    pub(super) overflow: bool,
}

/// Reads decimal and hexadecimal floating-point texts, `inf`, `infinity` and `nan`.
pub(super) fn parse(text: &str) -> Option<Parsed> {
    if text.contains('_') {
        let digits = underscores_separate_digits(text).then(|| text.replace('_', ""))?;
        return parse(&digits);
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let first = unsigned.bytes().next()?;
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    let (value, in_digits) = if !first.is_ascii_digit() && first != b'.' {
        let value = match unsigned.to_ascii_lowercase().as_str() {
            "inf" | "infinity" => f64::INFINITY,
            "nan" if unsigned.len() == text.len() => f64::NAN,
            _ => return None,
        };
        (sign * value, false)
    } else if let Some(digits) = unsigned.strip_prefix("0x").or(unsigned.strip_prefix("0X")) {
        (sign * hexadecimal(digits)?, true)
    } else {
        // Of the texts that begin like this, Rust's parser and Go's accept the same.
        (text.parse::<f64>().ok()?, true)
    };
    Some(Parsed {
        value,
        overflow: in_digits && value.is_infinite(),
    })
}

/// A position in a list, written as a number and truncated.
pub(super) fn index(segment: &str) -> Option<usize> {
    let parsed = parse(segment)?;
    let index = parsed.value.trunc();
    // A negative fraction truncates to zero; NaN and what is out of range give nothing.
    (!parsed.overflow && (0.0..1e15).contains(&index)).then_some(index as usize)
}

/// Whether every underscore is between digits; a hexadecimal prefix counts as one.
fn underscores_separate_digits(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let hexadecimal = unsigned.starts_with("0x") || unsigned.starts_with("0X");
    let digits = unsigned
        .get(if hexadecimal { 2 } else { 0 }..)
        .unwrap_or_default();
    let mut after_digit = hexadecimal;
    let mut after_underscore = false;
    for byte in digits.bytes() {
        let digit = byte.is_ascii_digit() || (hexadecimal && byte.is_ascii_hexdigit());
        if (byte == b'_' && !after_digit) || (after_underscore && !digit) {
            return false;
        }
        after_digit = digit;
        after_underscore = byte == b'_';
    }
    !after_underscore
}

/// `h.hhhp±d` without its prefix, rounded to nearest even.
fn hexadecimal(text: &str) -> Option<f64> {
    let (digits, exponent) = text.split_once(['p', 'P'])?;
    let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Exponents are cut off where the outcome no longer depends on them.
    let magnitude = unsigned.bytes().fold(0_i64, |value, digit| {
        (value * 10 + i64::from(digit - b'0')).min(1_000_000)
    });
    let mut exponent = if exponent.starts_with('-') {
        -magnitude
    } else {
        magnitude
    };
    let mut mantissa = 0_u64;
    let mut seen = false;
    let mut fraction = false;
    for byte in digits.bytes() {
        if byte == b'.' && !fraction {
            fraction = true;
            continue;
        }
        let digit = u64::from(char::from(byte).to_digit(16)?);
        seen = true;
        if mantissa >> 59 == 0 {
            mantissa = mantissa << 4 | digit;
            exponent -= if fraction { 4 } else { 0 };
        } else {
            // Of the digits that do not fit it only matters whether all are zero.
            mantissa |= u64::from(digit != 0);
            exponent += if fraction { 0 } else { 4 };
        }
    }
    seen.then(|| scale(mantissa, exponent))
}

/// `mantissa × 2^exponent`, rounded once.
fn scale(mantissa: u64, exponent: i64) -> f64 {
    if mantissa == 0 {
        return 0.0;
    }
    let shift = i64::from(mantissa.leading_zeros());
    let mantissa = mantissa << shift;
    let exponent = exponent - shift + 63;
    if exponent > 1023 {
        return f64::INFINITY;
    }
    // Bits to keep: 53 for normal numbers, fewer below.
    let keep = if exponent >= -1022 {
        53
    } else {
        53 + exponent + 1022
    };
    if keep < 0 {
        return 0.0;
    }
    let drop = u32::try_from(64 - keep).unwrap_or(64);
    let kept = mantissa.checked_shr(drop).unwrap_or(0);
    let rest = if drop >= 64 {
        mantissa
    } else {
        mantissa & ((1 << drop) - 1)
    };
    let half = 1_u64 << (drop - 1);
    let up = rest > half || (rest == half && kept & 1 == 1);
    let rounded = (kept + u64::from(up)) as f64;
    // Two steps, neither of which rounds, as the power alone may be out of range.
    let power = exponent - keep + 1;
    let half_power = power / 2;
    rounded * two_to(half_power) * two_to(power - half_power)
}

fn two_to(power: i64) -> f64 {
    2.0_f64.powi(i32::try_from(power).unwrap_or(0))
}

/// A number in plain decimal notation with the fewest digits that read back the same.
pub(super) fn plain(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<f64> {
        parse(text).map(|parsed| parsed.value)
    }

    #[test]
    fn reads_go_numbers() {
        for (text, value) in [
            ("1.", 1.0),
            (".5", 0.5),
            ("+1e3", 1000.0),
            ("-1E-2", -0.01),
            ("Inf", f64::INFINITY),
            ("-infinity", f64::NEG_INFINITY),
            ("0x1p-2", 0.25),
            ("0x.8p1", 1.0),
            ("0X1.8P+1", 3.0),
            ("-0x10p0", -16.0),
            ("0x1.fffffffffffff8p0", 2.0),
            ("0x1p-1074", 5e-324),
            ("0x1p-1075", 0.0),
            ("0x1.8p-1074", 1e-323),
            ("1_23.50_0_0e+1_2", 1.235e14),
            ("0x_1p-2", 0.25),
            ("0x1_0p1", 32.0),
            ("0x1p1023", 8.98846567431158e307),
        ] {
            assert_eq!(read(text), Some(value), "{text}");
        }
        assert!(read("NaN").unwrap().is_nan());
        assert!(parse("1e400").unwrap().overflow);
        assert!(parse("0x1p1024").unwrap().overflow);
        assert!(!parse("inf").unwrap().overflow);
    }

    #[test]
    fn rejects_what_go_rejects() {
        for text in [
            "", " 1", "1 ", "0x10", "0x", "0xp1", "1e", "e1", ".", "+", "-nan", "+nan", "infi",
            "0x1p", "--1", "1.2.3", "0b1", "_1", "1_", "1__0", "1_.5", "1e_5", "0x.p1",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn prints_without_exponent() {
        assert_eq!(plain(1e21), "1000000000000000000000");
        assert_eq!(plain(1e-7), "0.0000001");
        assert_eq!(plain(1.0), "1");
        assert_eq!(plain(-0.0), "-0");
    }
}
