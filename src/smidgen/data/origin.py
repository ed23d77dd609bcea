"""What was understood of data when it was read: it stands beside the splits and changes nothing in them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Copies:
    """How many images are exact copies of others.

    Attributes:
        images: How many there are without those of a given test split.
        repeated: How many of them equal an earlier one.
        contradicting: How many are copies of an image with another label.
        apart: Why copies could not stay in one split; "" if they do.
        test_images: How many images a given test split has; 0 if it was cut from the rest.
        in_test: How many of these equal an image that is not for testing.
    """

    images: int = 0
    repeated: int = 0
    contradicting: int = 0
    apart: str = ""
    test_images: int = 0
    in_test: int = 0

    @property
    def facts(self) -> tuple[str, ...]:
        """What a user should know of the copies, one sentence each; () if there are none."""
        told = []
        if self.repeated:
            kept = f"they are in several splits ({self.apart})" if self.apart else "copies stay in one split"
            told.append(f"{self.repeated:,} of {self.images:,} examples are exact copies of earlier ones; {kept}")
        if self.contradicting:
            told.append(
                f"{self.contradicting:,} examples are exact copies of others with another label; "
                "no network can tell them"
            )
        if self.in_test:
            told.append(
                f"{self.in_test:,} of {self.test_images:,} test examples are exact copies of training or validation "
                "examples; the test accuracy shows memory too"
            )
        return tuple(told)


NO_COPIES = Copies()


@dataclass(frozen=True)
class Origin:
    """What was understood when data was read, before anything was scaled.

    Attributes:
        label_source: The column of a table that has the labels, and why it was taken; "" for other data.
        feature_names: The columns of a table that are features, in the order of the values; () for other data.
        notes: What else a user should know of how the data was read, one sentence each.
        copies: How many images are exact copies of others.
        has_stated_axes: Whether the user said which axes an example has, or had windows cut.
        facts: What `smidgen.data.facts_of` says of the data before images were repeated or changed.
    """

    label_source: str = ""
    feature_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    copies: Copies = NO_COPIES
    has_stated_axes: bool = False
    facts: tuple[str, ...] = ()


UNKNOWN_ORIGIN = Origin()
