"""What a token allows: bits, their names, and what they mean in words."""

from __future__ import annotations

_SCOPES = (
    ("UserRead", "See your profile, settings and e-mail address"),
    ("UserWrite", "Change your profile and settings"),
    ("ModelsRead", "Browse and download models"),
    ("ModelsWrite", "Upload and edit models"),
    ("ModelsDelete", "Delete your models"),
    ("MediaRead", "See your images, videos and posts"),
    ("MediaWrite", "Upload media and create posts"),
    ("MediaDelete", "Delete your media and posts"),
    ("ArticlesRead", "Read articles"),
    ("ArticlesWrite", "Create and edit articles"),
    ("ArticlesDelete", "Delete your articles"),
    ("BountiesRead", "See bounties"),
    ("BountiesWrite", "Create and manage bounties, which spends Buzz"),
    ("BountiesDelete", "Delete your bounties"),
    ("AIServicesRead", "See what you have generated and trained"),
    ("AIServicesWrite", "Generate, train and scan, which spends Buzz"),
    ("BuzzRead", "See your Buzz and its history"),
    ("CollectionsRead", "See your collections"),
    ("CollectionsWrite", "Manage your collections"),
    ("SocialWrite", "Follow, react, comment and review"),
    ("SocialTip", "Tip others"),
    ("NotificationsRead", "Read your notifications"),
    ("NotificationsWrite", "Change which notifications you get"),
    ("VaultRead", "View your vault"),
    ("VaultWrite", "Manage your vault"),
    ("AppBlocksSubmit", "Submit app blocks"),
    ("AppBlocksDevTunnel", "Run app blocks from your own machine"),
)

NAMES = {1 << bit: name for bit, (name, _) in enumerate(_SCOPES)}
"""The name of every bit."""

USER_READ = 1
AI_SERVICES_READ = 1 << 14
AI_SERVICES_WRITE = 1 << 15

FULL = (1 << 25) - 1
"""What the word "full" means: the bits that there were first. Later ones do not join."""
ALL = (1 << len(_SCOPES)) - 1
"""Every bit that there is."""


def in_words(scope: int) -> list[str]:
    """Tell what a scope allows, a sentence per bit.

    >>> in_words(16385)
    ['See your profile, settings and e-mail address', 'See what you have generated and trained']
    """
    return [words for bit, (_, words) in enumerate(_SCOPES) if scope >> bit & 1]
