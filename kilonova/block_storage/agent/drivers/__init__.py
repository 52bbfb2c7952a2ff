"""The drivers of back ends; all obey one contract."""
