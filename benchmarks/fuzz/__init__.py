"""Bad input by the thousand: what is made, who reads it, and the guard that watches. Run by `campaign_fuzz`."""
