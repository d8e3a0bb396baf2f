"""The accounts service: OAuth 2.0 with its pages, OpenID Connect, and its former address on the site."""
