//! Floats of twice the precision: the unevaluated sum of two.

/// `hi + lo`, about 106 bits. An infinite or NaN `hi` is the whole value, whatever `lo` holds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Dd {
    /// The value, to a float's precision.
    pub hi: f64,
    /// What `hi` leaves out.
    pub lo: f64,
}

impl Dd {
    /// A whole number, exactly.
    pub fn of_integer(it: i64) -> Self {
        let hi = it as f64;
        let lo = (i128::from(it) - hi as i128) as f64;
        Self { hi, lo }
    }

    /// Adds a float. What `hi` loses by rounding gathers in `lo`: the chain from one call to the next is a single addition.
    #[inline]
    pub fn push(&mut self, x: f64) {
        let (sum, error) = two_sum(self.hi, x);
        self.hi = sum;
        self.lo += error;
    }

    /// The nearest float.
    pub fn value(self) -> f64 {
        if self.hi.is_finite() {
            self.hi + self.lo
        } else {
            self.hi
        }
    }

    /// The sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let (sum, error) = two_sum(self.hi, other.hi);
        normal(sum, error + self.lo + other.lo)
    }

    /// The difference.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        self.plus(Self {
            hi: -other.hi,
            lo: -other.lo,
        })
    }

    /// The product.
    #[must_use]
    pub fn times(self, other: Self) -> Self {
        let (product, error) = two_prod(self.hi, other.hi);
        normal(product, error + (self.hi * other.lo + self.lo * other.hi))
    }

    /// The quotient by a float.
    #[must_use]
    pub fn over(self, divisor: f64) -> Self {
        let first = self.hi / divisor;
        let (product, error) = two_prod(first, divisor);
        let rest = (self.hi - product) - error + self.lo;
        normal(first, rest / divisor)
    }
}

impl From<f64> for Dd {
    fn from(hi: f64) -> Self {
        Self { hi, lo: 0.0 }
    }
}

/// The rounded sum and its exact error.
#[inline]
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let part = sum - a;
    (sum, (a - (sum - part)) + (b - part))
}

/// The rounded product and its exact error.
fn two_prod(a: f64, b: f64) -> (f64, f64) {
    let product = a * b;
    (product, a.mul_add(b, -product))
}

fn normal(hi: f64, lo: f64) -> Dd {
    if !hi.is_finite() {
        return Dd { hi, lo: 0.0 };
    }
    let (hi, lo) = two_sum(hi, lo);
    Dd { hi, lo }
}
