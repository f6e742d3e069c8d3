//! Functions of one number, without libm. Pure. `f64::exp` and `f64::ln` are the only things that mux would want of that
//! shared library: loading it costs 0.1 ms of the 0.9 ms that `mux --version` takes (measured), and its last digits depend
//! on the machine, while a record has to give the same score everywhere.

use std::f64::consts::{LN_2, SQRT_2};

/// Returns e to the power of `x`: a series for x/1024, squared ten times, good to 12 digits. Beyond ±700 it stays there.
pub fn exp(x: f64) -> f64 {
    let part = x.clamp(-700.0, 700.0) / 1024.0;
    let series = (1..=20).rev().fold(1.0, |sum, n| 1.0 + part / f64::from(n) * sum);
    (0..10).fold(series, |power, _| power * power)
}

/// Returns the natural logarithm of a positive, finite number, good to 13 digits; of any other that of the smallest one.
pub fn ln(x: f64) -> f64 {
    let x = if x.is_finite() { x.max(f64::MIN_POSITIVE) } else { f64::MIN_POSITIVE };
    // x = m·2^k with m from 1 to 2, and then from 0.7 to 1.4, where the series of (m−1)/(m+1) is short.
    let bits = x.to_bits();
    let mut k = f64::from(u32::try_from(bits >> 52).unwrap_or_default()) - 1023.0;
    let mut m = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52);
    if m > SQRT_2 {
        m /= 2.0;
        k += 1.0;
    }
    let s = (m - 1.0) / (m + 1.0);
    let series = (0..14_u32).rev().fold(0.0, |sum, n| 1.0 / f64::from(2 * n + 1) + s * s * sum);
    k * LN_2 + 2.0 * s * series
}

/// Returns the probability of a logit, 0 to 1.
pub fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + exp(-logit))
}

/// Returns the logit of a probability; 0 and 1 count as a millionth away from it.
pub fn logit(probability: f64) -> f64 {
    let p = probability.clamp(1e-6, 1.0 - 1e-6);
    ln(p / (1.0 - p))
}

/// Returns a number with four digits after the point: what is recorded is what was computed with.
pub fn rounded(x: f64) -> f64 {
    (x * 1e4).round() / 1e4
}

/// A count as a number; counts here are far below 2³².
pub fn count(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

/// Returns the mean; 0 of nothing.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / count(values.len().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_that_of_libm() {
        for x in [-700.0, -30.0, -2.0, -0.5, 0.0, 1e-9, 0.4, 1.0, 3.7, 40.0, 700.0] {
            let (own, libm) = (exp(x), x.exp());
            assert!((own - libm).abs() <= 1e-12 * libm, "e^{x}: {own} {libm}");
        }
        assert!(sigmoid(f64::NEG_INFINITY) < 1e-300 && sigmoid(f64::INFINITY) >= 1.0);
    }

    #[test]
    fn the_logarithm_is_that_of_libm() {
        for x in [1e-300, 1e-9, 0.1, 0.5, 0.7, 0.71, 0.999_999, 1.0, 1.41, 1.42, 2.0, 10.0, 12_345.678, 1e300] {
            let (own, libm) = (ln(x), f64::ln(x));
            assert!((own - libm).abs() <= 1e-13 * libm.abs().max(1.0), "ln {x}: {own} {libm}");
        }
        for x in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(ln(x).to_bits(), ln(f64::MIN_POSITIVE).to_bits(), "ln {x}");
        }
        assert!((sigmoid(logit(0.37)) - 0.37).abs() < 1e-12 && logit(0.0).is_finite() && logit(1.0).is_finite());
    }
}
