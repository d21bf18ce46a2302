//! Checks that a specification numbers.

/// Makes an enum `Check` whose variants know their number and say what failed.
macro_rules! checks {
    ($spec:literal: $($(#[$doc:meta])* $name:ident = $number:literal $text:literal,)*) => {
        #[doc = concat!("The checks of ", $spec, ", by number.")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Check {
            $($(#[$doc])* $name,)*
        }

        impl Check {
            /// Every check, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The number in the specification.
            pub const fn number(self) -> &'static str {
                match self {
                    $(Self::$name => $number,)*
                }
            }
        }

        impl ::std::fmt::Display for Check {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(match self {
                    $(Self::$name => concat!($number, ": ", $text),)*
                })
            }
        }
    };
}

pub(crate) use checks;
