"""All of it on one page: what was measured of the paper's claims, beside what the paper prints."""
