"""The Site API v1: catalogue, users, downloads and the images behind them."""
