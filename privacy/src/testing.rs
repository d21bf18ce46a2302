//! What tests share: chi-square, the normal distribution, pinned vectors.

use std::path::Path;

/// The chance that a right sampler fits at least this badly: Pearson's statistic over the cells of
/// which `expected` (probabilities) foresees five or more, the others taken together.
pub fn chi_square_p(counts: &[u64], expected: &[f64], total: f64) -> f64 {
    assert_eq!(counts.len(), expected.len());
    let (mut statistic, mut cells) = (0.0, 0);
    let (mut rest, mut rest_expected) = (0.0, 0.0);
    let mut add = |seen: f64, foreseen: f64| {
        statistic += (seen - foreseen).powi(2) / foreseen;
        cells += 1;
    };
    for (&count, &p) in counts.iter().zip(expected) {
        if p * total >= 5.0 {
            add(count as f64, p * total);
        } else {
            rest += count as f64;
            rest_expected += p * total;
        }
    }
    if rest_expected >= 1.0 {
        add(rest, rest_expected);
    } else if rest > 12.0 {
        return 0.0; // Under one was foreseen: a Poisson count above 12 has a chance under 10^-10.
    }
    upper_gamma(f64::from(cells - 1) / 2.0, statistic / 2.0)
}

/// The regularised upper incomplete gamma function Q(a, x): by its series under a + 1, else by
/// Lentz's method.
fn upper_gamma(a: f64, x: f64) -> f64 {
    let front = (a * x.ln() - x - libm::lgamma(a)).exp();
    if x < a + 1.0 {
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        while term > sum * 1e-16 {
            n += 1.0;
            term *= x / n;
            sum += term;
        }
        return 1.0 - front * sum;
    }
    let mut b = x + 1.0 - a;
    let (mut c, mut d) = (1e300, 1.0 / b);
    let mut value = d;
    for i in 1..10_000 {
        let i = f64::from(i);
        let step = i * (a - i);
        b += 2.0;
        d = 1.0 / (step * d + b);
        c = b + step / c;
        value *= c * d;
        if (c * d - 1.0).abs() < 1e-15 {
            break;
        }
    }
    front * value
}

/// Phi(x).
pub fn normal_below(x: f64) -> f64 {
    libm::erfc(-x / std::f64::consts::SQRT_2) / 2.0
}

/// Compares `value` with `privacy/vectors/<name>`. With `UPDATE_VECTORS=1` it writes the file instead.
pub fn pinned(name: &str, value: &serde_json::Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name);
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = serde_json::to_string_pretty(value).unwrap() + "\n";
        std::fs::write(&path, text).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let kept: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    assert_eq!(kept, *value, "{name} differs: a change of format needs a new version");
}

#[test]
fn chi_square_agrees_with_tables() {
    // The 5% and 0.1% points for 1, 10 and 100 degrees of freedom.
    for (degrees, at, p) in
        [(1.0, 3.841, 0.05), (10.0, 18.307, 0.05), (100.0, 124.342, 0.05), (10.0, 29.588, 0.001)]
    {
        let computed: f64 = upper_gamma(degrees / 2.0, at / 2.0);
        assert!((computed / p - 1.0).abs() < 1e-3, "{degrees} {at}: {computed}");
    }
    assert!((normal_below(1.96) - 0.975).abs() < 1e-4);
}
