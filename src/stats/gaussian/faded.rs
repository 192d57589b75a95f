//! Faded copies of a posterior, made once for all who read it.

use std::sync::{Arc, Mutex, PoisonError};

use super::Gaussian;

/// Fading of a posterior.
#[derive(Debug)]
struct Fading {
    /// Retained fraction of every observation.
    retained: f64,
    posterior: Arc<Gaussian>,
    gain: f64,
}

/// Cache of a posterior's last faded copy. A copy costs O(d³), and each reader of an unchanged posterior needs the same.
///
/// Invariant: it follows from the posterior, so it is left out of comparisons, copies and snapshots.
#[derive(Debug, Default)]
pub(super) struct FadedPosterior(Mutex<Option<Box<Fading>>>);

impl Clone for FadedPosterior {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for FadedPosterior {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Gaussian {
    /// Returns the posterior after [`forget`](Self::forget), and the gain that `forget` returns. The last result is kept
    /// until the posterior changes.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use slotwise::stats::{Gaussian, SparseVector};
    ///
    /// let x = SparseVector { entries: vec![(0, 1.0)], unseen: 0.0 };
    /// let mut posterior = Gaussian::new(1.0);
    /// posterior.observe(&x, 1.0, 4.0);
    /// let (faded, _) = posterior.faded(0.5);
    /// assert!(Arc::ptr_eq(&faded, &posterior.faded(0.5).0));
    /// // Half an observation of 4 beside a prior of one at 0.
    /// assert!((faded.mean()[0] - 4.0 * 0.5 / 1.5).abs() < 1e-12);
    /// ```
    pub fn faded(&self, retained: f64) -> (Arc<Self>, f64) {
        let mut last = self.faded.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some(known) if known.retained.to_bits() == retained.to_bits() => (Arc::clone(&known.posterior), known.gain),
            _ => {
                let mut posterior = self.clone();
                let gain = posterior.forget(retained);
                let posterior = Arc::new(posterior);
                *last = Some(Box::new(Fading { retained, posterior: Arc::clone(&posterior), gain }));
                (posterior, gain)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::{
        super::tests::{LAMBDA, row},
        *,
    };

    /// A faded copy has the bits of a posterior that forgot, also after each kind of change of its origin.
    #[test]
    fn a_faded_copy_is_what_forgetting_gives() {
        let mut rng = StdRng::seed_from_u64(23);
        let mut posterior = Gaussian::new(LAMBDA);
        let rows: Vec<_> = (0..20).map(|_| row(&mut rng, 9, 0.0).x).collect();
        let change: [&dyn Fn(&mut Gaussian); 4] = [
            &|posterior| rows.iter().for_each(|x| _ = posterior.observe(x, 0.5, 0.1)),
            &|posterior| posterior.revise(&rows[3], 0.7),
            &|posterior| _ = posterior.take_out(&[2]),
            &|posterior| _ = posterior.forget(0.9),
        ];
        for change in change {
            change(&mut posterior);
            for retained in [0.5, 0.25, 0.25] {
                let mut forgot = posterior.clone();
                let gain = forgot.forget(retained);
                let (faded, of_faded) = posterior.faded(retained);
                assert_eq!(*faded, forgot);
                assert_eq!(of_faded.to_bits(), gain.to_bits());
            }
        }
    }
}
