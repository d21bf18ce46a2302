//! One body, compiled for every level.

/// Defines a function that runs `body`, compiled for the level it is given; for AVX-512 the function that is named, if one is.
macro_rules! versions {
    (
        $(#[$doc:meta])* $name:ident = $body:ident($($arg:ident: $type:ty),*) $(-> $out:ty)?
        $(, avx512: $avx512:path)?
    ) => {
        $(#[$doc])*
        pub(crate) fn $name(level: $crate::kernels::Level, $($arg: $type),*) $(-> $out)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            fn avx512($($arg: $type),*) $(-> $out)? {
                $crate::kernels::versions::first!($($avx512,)? $body::<true>,)($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $type),*) $(-> $out)? {
                $body::<true>($($arg),*)
            }
            match level.0 {
                $crate::kernels::level::Kind::Portable => $body::<false>($($arg),*),
                // SAFETY: the level vouches for the processor.
                #[cfg(target_arch = "x86_64")]
                $crate::kernels::level::Kind::Avx2 => unsafe { avx2($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::kernels::level::Kind::Avx512 => unsafe { avx512($($arg),*) },
            }
        }
    };
}

/// The first of some expressions.
macro_rules! first {
    ($first:expr, $($rest:expr,)*) => {
        $first
    };
}
pub(super) use {first, versions};
