//! What a forward pass leaves for the way back.

/// Of a group of texts. All are rows of tokens, text after text.
#[derive(Default)]
pub(super) struct Trace {
    /// Tokens of each text.
    pub(super) lengths: Vec<usize>,
    /// What enters the first layer.
    pub(super) embedded: Vec<f32>,
    pub(super) layers: Vec<Kept>,
}

/// Of a layer.
#[derive(Default)]
pub(super) struct Kept {
    /// Queries, keys and values.
    pub(super) qkv: Vec<f32>,
    /// What attention gave, if the projection behind it learns.
    pub(super) context: Vec<f32>,
    pub(super) attended: Normed,
    /// What goes into GELU.
    pub(super) risen: Vec<f32>,
    pub(super) left: Normed,
}

/// Of a layer norm.
#[derive(Default)]
pub(super) struct Normed {
    /// Rows of mean 0 and variance 1, before gamma and beta.
    pub(super) rows: Vec<f32>,
    /// What each was multiplied with to be that.
    pub(super) scales: Vec<f32>,
}

impl Trace {
    /// Makes room for so many layers; what they hold is from the pass before.
    pub(super) fn begin(&mut self, texts: &[&[u32]], layers: usize) {
        self.lengths.clear();
        self.lengths.extend(texts.iter().map(|text| text.len()));
        self.layers.resize_with(layers, Kept::default);
    }
}

impl Kept {
    /// Makes room for rows of such strides: states, and inside the feed-forward part.
    pub(super) fn begin(&mut self, tokens: usize, stride: usize, inner: usize) {
        self.qkv.resize(tokens * 3 * stride, 0.0);
        self.risen.resize(tokens * inner, 0.0);
        for norm in [&mut self.attended, &mut self.left] {
            norm.rows.resize(tokens * stride, 0.0);
            norm.scales.resize(tokens, 0.0);
        }
    }
}
