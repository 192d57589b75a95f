//! Floors and ceilings of a pmf.

/// Applies floors and ceilings to a pmf over the `active` candidates.
///
/// Floors f first give `p = f + (1 − Σf)·w`; floors that add up to more than 1 are scaled down in proportion. Then the
/// excess above each ceiling goes to the other candidates in proportion, until none exceeds its own. Ceilings that add
/// up to less than 1 are raised in proportion. If floor and ceiling contradict each other the ceiling gives way, so no
/// candidate falls below its floor. Returns the scale of the floors, and 1 − Σf.
///
/// # Examples
///
/// ```
/// use slotwise::bandit::apply_floor_and_ceiling;
///
/// let mut pmf = [0.98, 0.02, 0.0];
/// apply_floor_and_ceiling(&mut pmf, &[true; 3], |_| 0.1, |_| 0.7);
/// assert!(pmf.iter().all(|p| (0.1 - 1e-12..=0.7 + 1e-12).contains(p)));
/// assert!((pmf.iter().sum::<f64>() - 1.0).abs() < 1e-12);
/// ```
pub fn apply_floor_and_ceiling(
    pmf: &mut [f64],
    active: &[bool],
    floor: impl Fn(usize) -> f64,
    ceiling: impl Fn(usize) -> f64,
) -> (f64, f64) {
    let n = pmf.len();
    let who = || (0..n).filter(|&i| active[i]);
    if who().next().is_none() {
        return (1.0, 1.0);
    }
    let asked: f64 = who().map(&floor).sum();
    let scale = if asked > 1.0 { 1.0 / asked } else { 1.0 };
    let rest = (1.0 - asked).max(0.0);
    for i in who() {
        pmf[i] = scale * floor(i) + rest * pmf[i];
    }
    let most = |i: usize| ceiling(i).max(scale * floor(i));
    let room: f64 = who().map(most).sum();
    let raise = if room < 1.0 { 1.0 / room } else { 1.0 };
    let most = |i: usize| raise * most(i);
    if who().all(|i| pmf[i] <= most(i)) {
        return (scale, rest);
    }
    let mut full = vec![false; n];
    loop {
        let mut excess = 0.0;
        for i in who() {
            if pmf[i] > most(i) {
                excess += pmf[i] - most(i);
                pmf[i] = most(i);
                full[i] = true;
            }
        }
        let open: Vec<usize> = who().filter(|&i| !full[i]).collect();
        if excess <= 0.0 || open.is_empty() {
            return (scale, rest);
        }
        let mass: f64 = open.iter().map(|&i| pmf[i]).sum();
        for &i in &open {
            pmf[i] += if mass > 0.0 { excess * pmf[i] / mass } else { excess / open.len() as f64 };
        }
    }
}
