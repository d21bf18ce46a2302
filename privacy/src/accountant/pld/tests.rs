use super::*;
use crate::NoiseMultiplier;
use crate::accountant::normal::ln_tail;
use crate::accountant::{Mu, PoissonRate, Rounds, rdp};

fn part(q: f64, noise: f64, rounds: u32) -> SampledRounds {
    SampledRounds {
        rate: PoissonRate::new(q).unwrap(),
        noise: NoiseMultiplier::new(noise).unwrap(),
        rounds: Rounds::new(rounds).unwrap(),
    }
}

fn at(parts: &[SampledRounds], delta: f64) -> f64 {
    epsilon(parts, Delta::new(delta).unwrap()).unwrap().get()
}

/// Delta of one round, by the closed form, in the worse direction.
fn exact_delta(q: f64, s: f64, epsilon: f64) -> f64 {
    let tail = |x: f64| ln_tail(x / s).exp();
    let cut = |ratio: f64| s * s * ((ratio - (1.0 - q)) / q).ln() + 0.5;
    let above = cut(epsilon.exp());
    let mixture = |x: f64| (1.0 - q) * tail(x) + q * tail(x - 1.0);
    let removed = mixture(above) - epsilon.exp() * tail(above);
    let added = if (-epsilon).exp() > 1.0 - q {
        let below = cut((-epsilon).exp());
        (1.0 - tail(below)) - epsilon.exp() * (1.0 - mixture(below))
    } else {
        0.0
    };
    removed.max(added)
}

/// An optimistic epsilon: losses rounded down, convolved one round at a time. Shares no code with the accountant.
fn optimistic_epsilon(q: f64, s: f64, rounds: u32, delta: f64, step: f64) -> f64 {
    let ratio = |x: f64| (1.0 - q + q * ((x - 0.5) / s / s).exp()).ln();
    let low = ((1.0 - q).ln() / step).floor() as i64;
    let width = 3000;
    let mut one = vec![0.0; width];
    let points = 200_000;
    for point in 0..points {
        let x = -9.0 * s + (1.0 + 18.0 * s) * (f64::from(point) + 0.5) / f64::from(points);
        let density = |m: f64| {
            (-(x - m) * (x - m) / 2.0 / s / s).exp() / s / (2.0 * std::f64::consts::PI).sqrt()
        };
        let mass =
            ((1.0 - q) * density(0.0) + q * density(1.0)) * (1.0 + 18.0 * s) / f64::from(points);
        let cell = (ratio(x) / step).floor() as i64 - low;
        one[(cell as usize).min(width - 1)] += mass * 0.999_999;
    }
    let mut sum = one.clone();
    for _ in 1..rounds {
        let mut next = vec![0.0; width];
        for (i, a) in sum.iter().enumerate().filter(|(_, mass)| **mass > 1e-15) {
            for (j, b) in one.iter().enumerate().take(width - i) {
                next[i + j] += a * b;
            }
        }
        sum = next;
    }
    let loss = |cell: usize| (cell as i64 + i64::from(rounds) * low) as f64 * step;
    let reached = |epsilon: f64| {
        let over = sum.iter().enumerate().filter(|(cell, _)| loss(*cell) > epsilon);
        over.map(|(cell, mass)| mass * (1.0 - (epsilon - loss(cell)).exp())).sum::<f64>() > delta
    };
    (0..20_000)
        .map(|k| f64::from(k) * 1e-3)
        .take_while(|epsilon| reached(*epsilon))
        .last()
        .unwrap_or(0.0)
}

#[test]
fn reference_table() {
    let table: serde_json::Value =
        serde_json::from_str(include_str!("../../../vectors/accountants.json")).unwrap();
    for row in table["rows"].as_array().unwrap() {
        let number = |key: &str| row[key].as_f64().unwrap();
        let part = part(number("sampling"), number("noise"), number("rounds") as u32);
        let found = at(&[part], number("delta"));
        let expected = number("pld");
        assert!((found / expected - 1.0).abs() < 1e-3, "{row}: {found}");
        let delta = Delta::new(number("delta")).unwrap();
        if part.rate.get() == 1.0 {
            let exact = Mu::of(part.noise, part.rounds).epsilon(delta).unwrap().get();
            assert!(found >= exact && found < exact * 1.0001, "{row}: {found} against {exact}");
        }
        // Ours is the lower one where dp-accounting drops fractional orders or bounds them loosely.
        let by_orders = rdp::epsilon(&[part], delta).unwrap().get();
        let ratio = by_orders / number("rdp");
        assert!((0.998..1.000_1).contains(&ratio) && by_orders >= found, "{row}: {by_orders}");
    }
}

#[test]
fn one_round_keeps_the_closed_form() {
    for q in [1e-3, 0.1, 0.5, 0.99] {
        for s in [0.3, 0.7, 1.0, 2.5] {
            for delta in [1e-2, 1e-5, 1e-9] {
                let found = at(&[part(q, s, 1)], delta);
                let kept = exact_delta(q, s, found.max(1e-12));
                assert!(kept <= delta * (1.0 + 1e-6), "{q} {s} {delta}: {found} gives {kept}");
                if found > 0.0 {
                    let less = found * 0.998 - 1e-4;
                    assert!(
                        less <= 0.0 || exact_delta(q, s, less) > delta,
                        "{q} {s} {delta}: {found}"
                    );
                }
            }
        }
    }
}

#[test]
fn never_below_an_optimistic_convolution() {
    for (q, s, rounds, delta) in [(0.2, 1.0, 6, 1e-5), (0.5, 1.5, 8, 1e-4), (0.05, 0.8, 4, 1e-6)] {
        let least = optimistic_epsilon(q, s, rounds, delta, 4e-3);
        let found = at(&[part(q, s, rounds)], delta);
        let slack = f64::from(rounds) * 4e-3 + 2e-3;
        assert!(found >= least && found <= least + slack, "{q} {s} {rounds}: {found} and {least}");
    }
}

#[test]
fn tiny_deltas_survive_the_transform() {
    for delta in [1e-15, 1e-40, 1e-150, 1e-300] {
        let part = part(1.0, 3.0, 40);
        let exact = Mu::of(part.noise, part.rounds).epsilon(Delta::new(delta).unwrap());
        let (exact, found) = (exact.unwrap().get(), at(&[part], delta));
        assert!(found >= exact && found < exact * 1.001, "{delta}: {found} against {exact}");
    }
}

#[test]
fn different_rounds_compose() {
    let (a, b) = (part(1.0, 2.0, 5), part(1.0, 3.0, 7));
    let mu = Mu::of(a.noise, a.rounds).and(Mu::of(b.noise, b.rounds));
    let exact = mu.epsilon(Delta::new(1e-5).unwrap()).unwrap().get();
    let found = at(&[a, b], 1e-5);
    assert!(found >= exact && found < exact * 1.001, "{found} against {exact}");
    let split = at(&[part(0.1, 1.0, 60), part(0.1, 1.0, 40)], 1e-5);
    assert!((split - at(&[part(0.1, 1.0, 100)], 1e-5)).abs() < 1e-3);
    let none = epsilon(&[], Delta::new(0.1).unwrap());
    assert_eq!(none, Err(AccountingError::Kinds { count: 0, max: MAX_KINDS }));
}

#[test]
fn costs_move_the_right_way() {
    let cost = |q, s, rounds, delta| at(&[part(q, s, rounds)], delta);
    for (q, s, rounds) in [(0.1, 1.0, 50), (0.02, 0.6, 300), (0.5, 2.0, 20)] {
        let here = cost(q, s, rounds, 1e-5);
        assert!(cost(q, s, rounds + rounds / 10, 1e-5) > here);
        assert!(cost(q, s * 1.05, rounds, 1e-5) < here);
        assert!(cost(q * 1.1, s, rounds, 1e-5) > here);
        assert!(cost(q, s, rounds, 1e-6) > here);
        assert!(cost(1.0, s, rounds, 1e-5) > here);
    }
}

#[test]
fn extremes_answer_or_say_no() {
    for q in [1e-9, 1.0 - 1e-16, 1.0] {
        for noise in [1e-300, 1e-3, 1e9, 1e300] {
            for (rounds, delta) in [(1, 5e-324), (1_000_000, 1e-5), (1, 0.99)] {
                let found = epsilon(&[part(q, noise, rounds)], Delta::new(delta).unwrap());
                if let (Ok(found), true) = (found, q == 1.0) {
                    let (noise, rounds) =
                        (part(q, noise, rounds).noise, part(q, noise, rounds).rounds);
                    let exact = Mu::of(noise, rounds).epsilon(Delta::new(delta).unwrap());
                    assert!(exact.is_ok_and(|exact| exact <= found), "{noise} {delta}: {found}");
                }
            }
        }
    }
}
